"""What a node says of itself: short, each minute and at once when something changes."""

import json

from hypothesis import given
from hypothesis import strategies as st

from node.shell.health import Health
from node.shell.vitals import BYTES_MAX, EVERY_NS, Vitals

S = 1_000_000_000


def running() -> Health:
    """The health of a node that has found its card."""
    one = Health()
    one.starting = False
    return one


def test_until_a_node_knows_whether_it_can_sound_it_is_starting():
    health = Health()
    health.note("store", "the disk is full", 0)
    assert health.word() == "starting"
    health.starting = False
    assert health.word() == "degraded"


def status(*, underruns=0, trusted=True, real_time=True):
    return {
        "sources": [{}],
        "control": {"clock_trusted": trusted, "utc_s": 1_800_000_000, "proof_number": 10_000},
        "shell": {
            "underruns": underruns,
            "real_time": real_time,
            "broker": {"reconnects": 3, "waiting": 2, "dropped": 1},
        },
    }


def test_each_minute_and_at_each_change_and_not_more_often():
    health = running()
    vitals = Vitals(health, session=7, begin_ns=0)
    assert vitals.due(0) and not vitals.due(1)
    health.note("store", "the disk is full", 2)
    assert vitals.due(3) and not vitals.due(4)
    health.note("store", None, 5)
    assert vitals.due(6)
    assert not vitals.due(6 + EVERY_NS - 1) and vitals.due(6 + EVERY_NS)


@given(
    st.lists(st.text("abcdefgh ", min_size=1, max_size=20), max_size=20),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 60),
)
def test_it_is_shorter_than_200_bytes_whatever_ails_the_node(names, underruns, now_ns):
    health = running()
    for name in names:
        health.note(name, "it is broken", 0)
    vitals = Vitals(health, session=1_800_000_000, begin_ns=0)
    body = vitals.body(status(underruns=underruns), 0, now_ns)
    assert len(body) < BYTES_MAX
    told = json.loads(body)
    assert told["s"] == ("degraded" if names else "ready")
    assert set(told.get("f", [])) <= set(names)


def test_a_fault_is_told_once_when_it_comes_and_once_when_it_goes_within_10_s():
    health = running()
    vitals = Vitals(health, session=7, begin_ns=0)
    told = []
    for second in range(60):
        now_ns = second * S
        if vitals.looks(now_ns):
            count = 0 if second < 20 else min(4 * (second - 19), 60)
            vitals.look(status(underruns=count, trusted=second < 20 or second > 40), now_ns)
        told += [(one.name, one.text is not None, second) for one in health.take_changes()]
    assert [one[:2] for one in told if one[0] == "clock"] == [("clock", True), ("clock", False)]
    assert [one[:2] for one in told if one[0] == "underruns"] == [
        ("underruns", True),
        ("underruns", False),
    ]
    begins = [second for _, came, second in told if came]
    assert all(20 <= second <= 30 for second in begins)
    assert health.word() == "ready"


def test_a_certificate_that_ends_soon_is_a_fault_and_one_that_does_not_is_none():
    for days, words in ((400, None), (60, None), (59, "59 days"), (-1, "has ended")):
        health = running()
        told = status()
        told["shell"]["broker"]["certificate_days"] = days
        Vitals(health, session=7, begin_ns=0).look(told, S)
        assert ("; ".join(health.why()) or None) is words or words in health.why()[0]


def test_a_flood_is_named_with_its_address_within_10_s_and_is_over_10_s_after_its_end():
    health = running()
    vitals = Vitals(health, session=7, begin_ns=0)
    told = []
    for second in range(90):
        refused = 2 * second + 5000 * min(max(second - 20, 0), 30)
        if vitals.looks(second * S):
            one = status() | {"counts": {"dropped_unauthenticated": refused}}
            one["control"]["refused_from"] = "203.0.113.9"
            vitals.look(one, second * S)
        told += [(one.name, one.text, second) for one in health.take_changes()]
    begun, ended = told
    assert begun[0] == "flood" and "203.0.113.9" in begun[1] and 20 < begun[2] <= 30
    assert ended[:2] == ("flood", None) and 50 < ended[2] <= 65


def test_streams_that_nobody_announced_are_no_flood():
    health = running()
    vitals = Vitals(health, session=7, begin_ns=0)
    for second in range(0, 60, 5):
        vitals.look(status() | {"counts": {"dropped_unauthenticated": 100 * second}}, second * S)
    assert not health.why()
