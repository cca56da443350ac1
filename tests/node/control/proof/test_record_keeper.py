"""What a record says was heard is what had the horn and sounded: no more of it, and no less."""

from dataclasses import replace
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from node.control.calendar.play_state import KEY, Record
from node.control.events import StartPart
from node.control.loudness.regulation import Verdict
from node.control.precedence import MessageClass
from node.control.proof.proof import Entry
from node.control.proof.record_keeper import LATE, SILENCE_DB, TOPIC, RecordKeeper
from node.events import LoopVerdict, Publish
from node.units import NS_PER_MS

VERDICT = Verdict("play", 0.0, 70.0, None, "", verified=False)
PART = StartPart(
    source=1, name="tin", day="2026-10-30", step=0, kind="file", media="a", language="vi",
    message_class=MessageClass.NORMAL, level="commune", duration_s=40, writer=KEY,
)  # fmt: skip


@given(st.integers(0, 800), st.booleans(), st.lists(st.integers(1, 2000), max_size=9))
def test_what_a_part_is_said_to_be_heard_begins_with_its_sound(delay_ms, delay_first, gaps_ms):
    """The horn goes from and to the part after each of `gaps_ms`; it sounds `delay_ms` after 0."""
    keeper = RecordKeeper({})
    keeper.begin(PART, 75, VERDICT, 0, trusted=True)
    if delay_first:
        keeper.note_delay(PART, delay_ms * NS_PER_MS, 0)
    times_ms = [0]
    for gap_ms in gaps_ms:
        times_ms.append(times_ms[-1] + gap_ms)
    for i, at_ms in enumerate(times_ms):
        keeper.note_horn(PART, 0, at_ms * NS_PER_MS, sounds=i % 2 == 0, trusted=True)
        if i == 0 and not delay_first:
            keeper.note_delay(PART, delay_ms * NS_PER_MS, 0)
    end_ms = times_ms[-1] + 100
    heard = sum(
        max(0, until - max(since, delay_ms))
        for since, until in list(pairwise([*times_ms, end_ms]))[::2]
    )
    keeper.end_part(PART, end_ms * NS_PER_MS)
    told = keeper.finish(Record(1, "tin", "2026-10-30", "played"))
    [proof] = [one for one in told if isinstance(one, Publish) and one.topic == TOPIC]
    [part] = msgspec.json.decode(proof.payload, type=Entry).record.parts
    assert part.heard_ms == heard


@given(st.sampled_from(["", "card, acoustically unverified"]), st.integers(0, 3), st.booleans())
def test_only_what_sounded_says_by_what_that_is_known(by, sounded_s, has_horn):
    keeper = RecordKeeper({}, by)
    keeper.begin(PART, 75, VERDICT, 0, trusted=True)
    if has_horn:
        keeper.note_horn(PART, 0, 0, sounds=True, trusted=True)
    keeper.end_part(PART, 700 * NS_PER_MS)
    told = keeper.finish(Record(1, "tin", "2026-10-30", "cut", sounded_s=sounded_s))
    [proof] = [one for one in told if isinstance(one, Publish) and one.topic == TOPIC]
    record = msgspec.json.decode(proof.payload)["record"]
    assert record.get("heard_by", "") == (by if sounded_s or has_horn else "")
    assert ("heard_by" in record) is bool(by and (sounded_s or has_horn))


@given(st.integers(1, 120), st.lists(st.integers(0, 1000), max_size=120))
def test_what_the_card_never_had_for_half_of_its_time_was_not_played(sounds_s, missed_ms):
    """`missed_ms` of each second the card found no sound."""
    keeper = RecordKeeper({}, "card, acoustically unverified")
    keeper.begin(PART, 75, VERDICT, 0, trusted=True)
    keeper.note_horn(PART, 0, 0, sounds=True, trusted=True)
    missed_ms = missed_ms[:sounds_s]
    for second, ms in enumerate(missed_ms, start=1):
        ends_ns = second * 1000 * NS_PER_MS
        if ms:
            gap = LoopVerdict("not taken", ends_ns - ms * NS_PER_MS, ends_ns)
            keeper.note_verdict(PART, gap)
    keeper.end_part(PART, sounds_s * 1000 * NS_PER_MS)
    told = keeper.finish(Record(1, "tin", "2026-10-30", "played", sounded_s=sounds_s))
    [proof] = [one for one in told if isinstance(one, Publish) and one.topic == TOPIC]
    record = msgspec.json.decode(proof.payload, type=Entry).record
    late = sum(missed_ms) >= 1000 and 2 * sum(missed_ms) >= 1000 * sounds_s
    assert (record.outcome == "missed") == late
    assert (record.reason == LATE) == late
    # A record counts whole seconds; its parts, ms.
    assert record.sounded_s == max(sounds_s - (sum(missed_ms) + 500) // 1000, 0)
    assert record.parts[0].heard_ms == sounds_s * 1000 - sum(missed_ms)
    if record.heard_by:
        assert ("it found no sound in time" in record.heard_by) == (sum(missed_ms) >= 500)
    assert record.heard_by or sum(missed_ms) > 900 * sounds_s


@given(
    st.lists(st.sampled_from([SILENCE_DB, -20.0]), min_size=1, max_size=4),
    st.sampled_from(["played", "stopped", "interrupted"]),
)
def test_what_had_the_horn_at_volume_0_sounded_for_no_second(gains_db, outcome):
    keeper = RecordKeeper({}, "card, acoustically unverified")
    for gain_db in gains_db:
        keeper.begin(PART, 0, replace(VERDICT, gain_db=gain_db), 0, trusted=True)
        keeper.note_horn(PART, 0, 0, sounds=True, trusted=True)
        keeper.end_part(PART, 9000 * NS_PER_MS)
    told = keeper.finish(Record(1, "tin", "2026-10-30", outcome, sounded_s=9 * len(gains_db)))
    [proof] = [one for one in told if isinstance(one, Publish) and one.topic == TOPIC]
    record = msgspec.json.decode(proof.payload, type=Entry).record
    silent = max(gains_db) == SILENCE_DB
    assert (record.sounded_s == 0) == silent == (not any(one.heard_ms for one in record.parts))
    assert record.outcome == ("refused" if silent and outcome == "played" else outcome)
    assert bool(record.heard_by) == (not silent)
