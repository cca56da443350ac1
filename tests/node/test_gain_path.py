"""No plan, no warning and no order makes the sound of the horn jump: measured at the output."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.audio.gain import SILENCE_GAIN
from node.config import AudioConfig, JitterConfig, NodeConfig
from node.control.calendar.programme import ItemConfig, PartConfig, ProgrammeConfig
from node.control.controller import Controller
from node.control.loudness.schedule import QuietHours, VolumeConfig, VolumeRule
from node.control.precedence import PriorityConfig
from node.control.proof.proof import Entry
from node.control.settings import ControlConfig
from node.events import Publish
from node.governed import GovernedSpeaker
from node.source.stored_sound import Recording
from node.stack import SpeakerNode
from node.units import NS_PER_S, RATE_HZ, samples_to_ns

LEVEL = 0.5
STEADY, SILENT = "a" * 64, "b" * 64
START_S = int(datetime(2026, 11, 22, 22, 29, 58, tzinfo=UTC).timestamp())  # 05:29:58 in Viet Nam
STEP_MAX_DB = 0.05 + 1e-4  # float32 samples carry 24 bits


class SteadyDecoder:
    """Decodes a payload of two bytes to a constant: LEVEL when the second is 1, else silence."""

    rate_hz, channels, final_range = RATE_HZ, 1, 0

    def decode(self, payload, out):
        out[:] = LEVEL if payload[1] else 0.0
        return len(out)

    def conceal(self, samples, out):
        out[:samples] = 0.0
        return samples

    decode_fec = decode

    def reset(self):
        pass


class ToneDecoder(SteadyDecoder):
    """Decodes to a tone of 1 kHz, 0.05 of full scale."""

    def decode(self, payload, out):
        out[:, 0] = 0.05 * np.sin(2 * np.pi * np.arange(len(out)) / 48)
        return len(out)


def recording(seconds, value):
    return Recording.of((bytes([3 << 3 | 0x80, value]),) * (50 * seconds))  # CELT, 20 ms, mono


def item(name, start, sound, **more):
    part = PartConfig(kind="file", duration_s=40, media={"vi": sound})
    return ItemConfig(name=name, start=start, parts=(part,), **more)


MINUTES = st.sampled_from(["05:30", "05:31", "05:32"])
PLANS = st.builds(
    VolumeConfig,
    volume=st.integers(0, 100),
    rules=st.lists(
        st.builds(
            VolumeRule,
            name=st.just("r"),
            volume=st.integers(0, 100),
            start=MINUTES,
            end=st.sampled_from(["05:31", "05:32", "05:33"]),
        ),
        max_size=3,
    ).map(tuple),
    quiet_hours=st.lists(
        st.builds(
            QuietHours,
            name=st.just("q"),
            volume_max=st.integers(0, 100),
            start=MINUTES,
            end=st.just("05:33"),
        ),
        max_size=1,
    ).map(tuple),
)


def played(plan, warnings, duck_db, audio, *, seconds=130, decoder=SteadyDecoder):
    """Play a constant from 05:30 on under a plan, with silent warnings over it."""
    items = [
        ItemConfig(
            name="steady",
            start="05:30",
            parts=(PartConfig(kind="file", duration_s=120, media={"vi": STEADY}),),
        )
    ]
    items += [
        item(f"warning {i}", start, SILENT, message_class="urgent")
        for i, start in enumerate(warnings)
    ]
    priority = PriorityConfig(duck_db={} if duck_db is None else {"urgent over normal": duck_db})
    control = ControlConfig(
        root_public_key="0" * 64,
        area="vn/a",
        build_utc_s=START_S - 86_400,
        programme=ProgrammeConfig(items=tuple(items)),
        volume=plan,
        priority=priority,
    )
    config = NodeConfig(name="a", jitter=JitterConfig(playout_delay_ms=100), audio=audio)
    speaker = SpeakerNode(config, decoder_factory=lambda *_: decoder(), priority=priority)
    library = {STEADY: recording(120, 1), SILENT: recording(40, 0)}
    node = GovernedSpeaker(speaker, Controller("a", control, (), {}), library, playout_delay_ms=100)
    now_ns, period = 10**10, 1920
    node.receive_time(START_S * NS_PER_S, now_ns, synchronised=True)
    sound = np.zeros((seconds * RATE_HZ // period * period, 1), np.float32)
    for first in range(0, len(sound), period):
        node.handle_deadline(now_ns)
        node.render(sound[first : first + period], now_ns)
        while node.next_event() is not None:
            pass
        now_ns += samples_to_ns(period)
    return sound[:, 0].astype(np.float64)


def steps_db(sound, gain_db=0.0):
    """Return the steps of the gain, but for the beginning and the end of the sound itself.

    Silence has no decibels: a ramp begins and ends at SILENCE_GAIN, which the output's `gain_db`
    then raises.
    """
    floor = SILENCE_GAIN * 10 ** (max(gain_db, 0.0) / 20)
    gain = np.abs(sound) / LEVEL
    heard = np.flatnonzero(gain > 0)
    if heard.size < 2:
        return np.zeros(1)
    inside = np.maximum(gain[heard[0] : heard[-1] + 1], floor)
    return np.abs(20 * np.log10(inside[1:] / inside[:-1]))


@settings(deadline=None, max_examples=10)
@example(VolumeConfig(volume=1), ["05:31"], None, 5.0)
@given(
    PLANS,
    st.lists(st.sampled_from(["05:30", "05:31"]), max_size=2),
    st.one_of(st.none(), st.floats(-60.0, -3.0)),
    st.floats(-20.0, 5.9),
)
def test_no_schedule_makes_a_step_above_0_05_db_at_the_output(plan, warnings, duck_db, gain_db):
    audio = AudioConfig(gain_db=gain_db, limit_dbfs=0.0, power_limit_db=-10.0)
    assert steps_db(played(plan, warnings, duck_db, audio), gain_db).max() <= STEP_MAX_DB


def test_the_measurement_sees_the_ramps_that_it_is_about():
    plan = VolumeConfig(
        volume=75, rules=(VolumeRule(name="r", volume=25, start="05:31", end="05:32"),)
    )
    sound = played(plan, ["05:31"], -20.0, AudioConfig(limit_dbfs=0.0))
    gain_db = 20 * np.log10(np.maximum(sound / LEVEL, SILENCE_GAIN))
    at = {name: gain_db[int(s * RATE_HZ)] for name, s in (("plain", 40), ("ducked", 70))}
    assert at["plain"] == pytest.approx(-4.5, abs=0.01)
    assert at["ducked"] == pytest.approx(-40.0, abs=0.01)
    assert 0.01 < steps_db(sound).max() <= STEP_MAX_DB


def test_what_the_horn_cannot_play_does_not_reach_it():
    audio = AudioConfig(high_pass_hz=300.0)
    sound = played(VolumeConfig(volume=100), [], None, audio, seconds=6)
    assert np.abs(sound[3 * RATE_HZ :]).max() < 1e-3, "a constant is no sound"


def test_a_soft_programme_is_brought_to_the_wanted_loudness_before_the_volume():
    audio = AudioConfig(target_lufs=-20.0)
    loud, soft = (
        played(VolumeConfig(volume=volume), [], None, audio, seconds=12, decoder=ToneDecoder)
        for volume in (100, 50)
    )
    end = slice(10 * RATE_HZ, 11 * RATE_HZ)
    level_db = 10 * np.log10(np.mean(loud[end] ** 2))
    assert level_db == pytest.approx(-20.0, abs=0.2), "BS.1770 is within 0.7 dB of rms at 1 kHz"
    assert level_db - 10 * np.log10(np.mean(soft[end] ** 2)) == pytest.approx(10.0, abs=0.05)


@pytest.mark.parametrize("delay_ms", [100, 800])
@pytest.mark.parametrize("parts", [1, 3])
def test_parts_that_fill_their_time_are_heard_to_their_last_sample_whatever_the_delay(
    delay_ms, parts
):
    """A sound begins the playout delay after its time, and must end so much later too."""
    part = PartConfig(kind="file", duration_s=2, media={"vi": STEADY})
    heard, record = played_item((part,) * parts, delay_ms)
    assert heard == pytest.approx(2.0 * parts, abs=0.03)
    said = sum(one.heard_ms for one in record.parts) / 1000
    assert heard - 0.1 * parts < said < heard + 0.05, "no more is proven than was heard"


def played_item(parts, delay_ms):
    """Return the seconds for which an item of the calendar was heard, and its record."""
    item_ = ItemConfig(name="steady", start="05:30", parts=parts)
    control = ControlConfig(
        root_public_key="0" * 64,
        area="vn/a",
        build_utc_s=START_S - 86_400,
        programme=ProgrammeConfig(items=(item_,)),
        volume=VolumeConfig(volume=100),
    )
    config = NodeConfig(name="a", jitter=JitterConfig(playout_delay_ms=delay_ms))
    speaker = SpeakerNode(config, decoder_factory=lambda *_: SteadyDecoder())
    library = {STEADY: recording(2, 1)}
    controller = Controller("a", control, (), {})
    node = GovernedSpeaker(speaker, controller, library, playout_delay_ms=delay_ms)
    now_ns, period, heard, records = 10**10, 480, 0, []
    node.receive_time(START_S * NS_PER_S, now_ns, synchronised=True)
    out = np.zeros((period, 1), np.float32)
    for _ in range(100 * 16):
        node.handle_deadline(now_ns)
        node.render(out, now_ns)
        heard += np.count_nonzero(np.abs(out) > 0.01)
        while (event := node.next_event()) is not None:
            if isinstance(event, Publish) and event.topic == "proof":
                records.append(msgspec.json.decode(event.payload, type=Entry).record)
        now_ns += samples_to_ns(period)
    return heard / RATE_HZ, records[-1]
