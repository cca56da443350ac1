"""Each field of a profile changes an answer: what nothing depends on has no place in one."""

from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

import hw_profiles
from node.config import ConfigError
from sim.drive.roll_up import part_of, roll_up
from sim.drive.rounds import Rounds
from sim.drive.run import decoder_of
from sim.station import payloads
from sim.sweep.settings import with_numbers
from sim.village import scenario
from sim.village.places import build_village
from tests.sim.parts_of_days import around_orders
from tests.sim.villages import village as village_text

PROFILE = "pi_4b_usb"
FAULT = '[[faults]]\nkind = "power_cut"\ncluster = "c-1"\n'

RUN = village_text(
    {("H", 0, 0): [("c-1", PROFILE, "ftth", 0, 0)]},
    duration_s=5,
    more=f"{FAULT}from_s = 3.5\nuntil_s = 3.6\n",
).replace("y_m = 0\n", "y_m = 0\nambient_c = 45\n", 1)
LONG_RUN = (
    RUN.replace("duration_s = 5", "duration_s = 120").replace("3.5", "118").replace("3.6", "119")
)
PROTECTED = 'protection = "profile"\n' + RUN
DAY = village_text(
    {("H", 0, 0): [("c-1", PROFILE, "ftth", 0, 0)]},
    duration_s=5,
    more=f"""
{FAULT}start = "01:59"
end = "02:00"

[day]
date = "2026-11-23"

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 4

[[day.orders]]
at = "02:00"
kind = "alert"
""",
)

OTHER = {
    "pi_4b.receive_us": (RUN, 20_000),
    "pi_4b.decode_us": (RUN, 30_000),
    "pi_4b.render_us": (RUN, 12_000),
    "pi_4b.wake_p50_us": (RUN, 60_000),
    "pi_4b.wake_max_us": (LONG_RUN, 90_000),
    "pi_4b.clock_sigma_ppm": (RUN, 45),
    "pi_4b.clock_max_ppm": (RUN, 0.1),
    "pi_4b.clock_curve_ppb_per_k2": (RUN, -350),
    "pi_4b.clock_wander_ppb": (RUN, 4000),
    "pi_4b.has_rtc": (DAY, 1),
    "pi_4b.boot_s": (RUN, 0.5),
    "usb_dac.period_samples": (RUN, 240),
    "usb_dac.periods": (RUN, 8),
    "usb_dac.device_latency_ms": (RUN, 20),
    "usb_dac.own_crystal": (RUN, 0),
    "usb_dac.clock_sigma_ppm": (RUN, 90),
    "classd_2x50.power_w": (DAY, 20),
    "classd_2x50.mute_release_s": (DAY, 1),
    "classd_2x50.thermal_limit_db": (PROTECTED, -40),
    "horn_30w.sensitivity_db_spl": (DAY, 102),
    "horn_30w.power_w": (DAY, 10),
    "horn_30w.low_hz": (PROTECTED, 600),
    "horn_30w.per_pole": (DAY, 4),
}
"""Field to a question that it matters to, and to another value."""

ONE_VALUE = {"usb_dac.rate_hz"}
"""May not be otherwise."""


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """Return what answers a question with other figures of its profile."""
    folder = tmp_path_factory.mktemp("fields")

    @cache
    def answered(text, name=None, value=None):
        path = Path(folder, "village.toml")
        path.write_text(text)
        asked = scenario.load(path)
        village = with_numbers(build_village(asked), {} if name is None else {name: value})
        if asked.day is not None:
            day = around_orders(asked, village)
            return [asdict(one) for one in (*day.orders, *day.spans)]
        programme = payloads.load(scenario.sound_file(asked), asked.sender)
        decoder = decoder_of(asked) if asked.protection == "profile" else None
        rounds = Rounds(asked, village, programme, decoder=decoder)
        for _ in rounds.advance():
            pass
        return [asdict(one) for one in roll_up(asked, village, part_of(rounds)).nodes]

    return answered


def test_each_field_is_in_the_table():
    fields = {
        f"{Path(path).stem}.{field}" for path, field, _ in hw_profiles.load(PROFILE).figures()
    }
    assert fields == {*OTHER, *ONE_VALUE}


@pytest.mark.parametrize("name", OTHER)
def test_another_value_changes_an_answer(answer, name):
    question, value = OTHER[name]
    assert answer(question, name, value) != answer(question)


@pytest.mark.parametrize("name", sorted(ONE_VALUE))
def test_what_has_one_value_is_refused_with_another(answer, name):
    with pytest.raises(ConfigError, match="48000"):
        answer(RUN, name, 44_100)
