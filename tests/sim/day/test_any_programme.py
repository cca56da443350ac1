"""Calendar, live programme and warnings beside what is broken: each item of a day is held against
an ear, and nobody who heard nothing is a missing row.
"""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sim.swarm import tones
from tests.sim.drawn_days import ALL, BEGIN_S, alert, broken, table
from tests.sim.ears import lived, sound_by_tones

END_S = 8_100
LIVE_FOR_S = 200
LOOK_S = 2.5
"""A look, and what a node that finds its way back says anew."""
LIVE_LOOK_S = 0.3
"""What is told of a stream is rounded, and an ear hears whole periods: where it goes and comes."""
ITEMS = {"early": ("02:03", 20), "late": ("02:08", 40)}
TONES = {"early": 0, "late": 3, "siren": 6}
SOUNDS = {f"{name}.flac": tone for name, tone in TONES.items()}
NODES = ("a-1", "a-2", "a-3")

AT = ({}, {"cluster": "a-1"}, {"cluster": "a-2"})
UNSAID = tuple(one for one in ALL if one != "replayed")
"""Faults of a day on which nothing is ordered."""

VILLAGE = f"""
title = "Any"
question = "Who hears what?"
seed = {{seed}}
duration_s = {LIVE_FOR_S}

[day]
date = "2026-11-23"
rules = []
live_at = "02:00"

[day.volume]
volume = 75

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 5

[[day.programme.items]]
name = "early"
start = "02:03"
missed = "{{missed}}"
parts = [{{{{ kind = "file", duration_s = 20, media = {{{{ vi = "early.flac" }}}} }}}}]

[[day.programme.items]]
name = "late"
start = "02:08"
missed = "{{missed}}"
message_class = "priority"
parts = [{{{{ kind = "file", duration_s = 40, media = {{{{ vi = "late.flac" }}}} }}}}]

{{rows}}

[[communes]]
name = "A"
x_m = 0
y_m = 0

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [
  {{{{ name = "a-1", profile = "pi_4b_i2s", bearer = "perfect", x_m = 0, y_m = 0 }}}},
  {{{{ name = "a-2", profile = "pi_5_usb", bearer = "ftth", x_m = 200, y_m = 0 }}}},
  {{{{ name = "a-3", profile = "pi_zero_2w_i2s", bearer = "lte_good", x_m = 400, y_m = 0 }}}},
]
"""


@settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    live=st.sampled_from([False, False, True]),
    drawn=st.sampled_from([[], [alert(3, lasts_s=60)], [alert(8, lasts_s=60)]]).flatmap(
        lambda asked: st.tuples(
            st.just(asked),
            broken(
                asked,
                AT,
                board_clocks=({"cluster": "a-2"},),
                minutes=(0, 1, 3, 8),
                kinds=ALL if asked else UNSAID,
            ),
        )
    ),
    missed=st.sampled_from(["skip", "late"]),
    seed=st.integers(0, 99),
)
@example(
    live=True,
    missed="skip",
    seed=1,
    drawn=([], [{"kind": "power_cut", "from_s": 200.0, "until_s": 230.0, "cluster": "a-2"}]),
)
@example(
    live=True,
    missed="skip",
    seed=1,
    drawn=([], [{"kind": "link_down", "from_s": 0.0, "until_s": 900.0, "cluster": "a-2"}]),
)
@example(
    live=False,
    missed="skip",
    seed=1,
    drawn=([], [{"kind": "cpu_throttle", "share": 0.001, "from_s": 490.0, "until_s": 500.0}]),
)
@example(
    live=False, missed="skip", seed=1,
    drawn=([], [{"kind": "power_cut", "from_s": 500.0, "until_s": 510.0}]),
)  # fmt: skip
def test_every_item_of_a_day_is_told_of_as_it_was_heard(
    monkeypatch, tmp_path_factory, live, drawn, missed, seed
):
    sound_by_tones(monkeypatch, SOUNDS)
    asked, broken = drawn
    rows = [table("day.orders", row) for row in asked] + [table("faults", row) for row in broken]
    text = VILLAGE.format(rows="\n".join(rows), missed=missed, seed=seed)
    folder = tmp_path_factory.mktemp("any")
    _, day, ears = lived(folder, text, SOUNDS, begin_s=BEGIN_S, end_s=END_S, live=live)

    for node in NODES:
        own = [one for one in day.items if one.node == node]
        for name, (_, length_s) in ITEMS.items():
            assert [one.item for one in own].count(name) == 1, own
            is_as_heard(own, name, length_s, len(ears[node].heard_s(TONES[name])) / 100)
        named = [one.item for one in own if one.item.startswith("live ")]
        assert len(named) == live, own
        if live:
            heard_s = len(ears[node].heard_s(tones.LIVE_TONES[0])) / 100
            is_as_heard(own, named[0], LIVE_FOR_S, heard_s)
    kinds = [one.outcome for one in day.items]
    assert day.totals["played"] == kinds.count("played")
    assert day.totals["missed"] == kinds.count("missed")
    figures = ("played", "missed", "refused", "cut_off", "items_not_known")
    assert sum(day.totals[name] for name in figures) == day.totals["items"] == len(kinds)


def outcomes(folder, broken):
    """Return what became of the late item at a-1, without a clock on its board, and at a-2."""
    rows = "\n".join(table("faults", row) for row in broken)
    text = VILLAGE.format(rows=rows, missed="skip", seed=1)
    _, day, _ = lived(folder, text, SOUNDS, begin_s=BEGIN_S, end_s=END_S, live=False)
    late = {one.node: one for one in day.items if one.item == "late"}
    return late["a-1"], late["a-2"]


def test_who_boots_without_a_clock_and_a_link_has_no_time(monkeypatch, tmp_path):
    """Nobody told it the time, and it played the calendar to the second."""
    sound_by_tones(monkeypatch, SOUNDS)
    cut = {"kind": "power_cut", "from_s": 20.0, "until_s": 50.0}
    away = {"kind": "link_down", "from_s": 20.0, "until_s": 900.0}
    without, with_clock = outcomes(tmp_path, [cut, away])
    assert (without.outcome, without.reason) == ("missed", "the time was not known")
    assert with_clock.outcome == "played"
    without, _ = outcomes(tmp_path, [cut, away | {"until_s": 300.0}])
    assert without.outcome == "played"


def test_a_clock_on_the_board_that_stood_is_wrong_though_it_goes_on_since(monkeypatch, tmp_path):
    sound_by_tones(monkeypatch, SOUNDS)
    cut = {"kind": "power_cut", "from_s": 20.0, "until_s": 50.0}
    away = {"kind": "link_down", "from_s": 20.0, "until_s": 900.0}
    stood = {"kind": "no_rtc", "from_s": 0.0, "until_s": 30.0, "cluster": "a-2"}
    _, with_clock = outcomes(tmp_path, [cut, away, stood])
    assert (with_clock.outcome, with_clock.reason) == ("missed", "the time was not known")


def test_a_clock_that_is_wrong_stays_so_over_a_boot(monkeypatch, tmp_path):
    """Each boot had set it right, though the answer went on to say that it was wrong."""
    sound_by_tones(monkeypatch, SOUNDS)
    step = {"kind": "clock_step", "step_s": 60.0, "from_s": 0.0, "until_s": 900.0}
    cut = {"kind": "power_cut", "from_s": 20.0, "until_s": 50.0}
    for one in outcomes(tmp_path, [step, cut]):
        assert one.started_s == pytest.approx(one.due_s - 60, abs=1.0), one


def is_as_heard(own, name, length_s, heard_s):
    one = next(one for one in own if one.item == name)
    slack_s = LIVE_LOOK_S if name.startswith("live ") else LOOK_S
    assert one.heard_s == pytest.approx(heard_s, abs=slack_s), one
    if heard_s < length_s - slack_s - max(1.0, length_s / 100):
        assert one.outcome != "played", (one, heard_s)
    if heard_s > length_s - 0.5:
        assert one.outcome in ("played", "interrupted"), (one, heard_s)
    if heard_s > LOOK_S:
        assert one.outcome in ("played", "in part", "interrupted", "stopped"), (one, heard_s)
    if heard_s == 0:
        assert one.outcome in ("missed", "interrupted", "refused"), one
        assert one.first_sample_ms is None, one
    assert one.reason or one.outcome == "played", one
