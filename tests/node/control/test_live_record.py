"""The record of a live stream counts what was heard of it: a muted horn is no sound."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from node.control.orders import Session
from node.control.trust.message import Kind
from node.units import NS_PER_S
from tests.node.control.test_controller import COMMUNE, PROVINCE, Village

STREAM = 7
ACTS = st.sampled_from(["horn", "no horn", "mute", "unmute"])


def record_of(acts: list[tuple[str, int]]) -> tuple[dict[str, object], int]:
    """Return the record of a stream, and how long it could be heard, in seconds."""
    village = Village("2025-12-07T12:00:00")
    content = msgspec.json.encode(Session(STREAM))
    assert village.order(COMMUNE, Kind.SESSION, content, ttl_s=3000) == "obeyed"
    has_horn = muted = False
    heard_s = 0
    for act, seconds in acts:
        if act in ("horn", "no horn"):
            has_horn = act == "horn"
            village.node.receive_grants((STREAM,) if has_horn else (), village.now_ns)
        else:
            muted = act == "mute"
            village.order(PROVINCE, Kind.MUTE if muted else Kind.UNMUTE, ttl_s=3000)
        village.now_ns += seconds * NS_PER_S
        heard_s += seconds if has_horn and not muted else 0
    assert village.order(COMMUNE, Kind.SESSION_END, content) == "obeyed"
    (record,) = village.proofs()
    return record, heard_s


@settings(max_examples=60)
@given(st.lists(st.tuples(ACTS, st.integers(0, 30)), max_size=12))
def test_a_live_stream_sounded_for_as_long_as_it_had_the_horn_and_was_not_silent(acts):
    record, heard_s = record_of(acts)
    assert record["sounded_s"] == heard_s
    assert record["outcome"] == ("played" if heard_s else "missed")


def test_a_stream_that_was_muted_from_its_begin_is_said_to_be_missed():
    record, _ = record_of([("mute", 5), ("horn", 30)])
    assert (record["outcome"], record["sounded_s"]) == ("missed", 0)
    assert record["reason"] == "nothing of it was heard"
