"""What a node has lost of the counters of orders lets no old order act again."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.trust.fates import is_good
from node.control.trust.lost_counters import APART_S, KEY, UNKNOWN
from node.control.trust.message import Kind
from node.units import NS_PER_S
from tests.node.control.test_controller import COMMUNE, PROVINCE, URGENT, Village
from tests.node.control.trust.test_rights import playing, warn

DAY_S = 86_400
OLD = "issued before this node lost its counters"
AHEAD_S = st.sampled_from((0, 0, 0, -300, 5, APART_S))
GAPS_S = st.sampled_from((0, 1, 60, 1800, 5000, 90_000))


def lose(village: Village, *, trusted: bool = True) -> None:
    """Damage the disk so that no counter is left, and start again a second later."""
    counters = [name for name in village.disk if name.startswith("counters/")]
    for name in counters:
        del village.disk[name]
    village.disk[KEY] = UNKNOWN  # as the store says that something of the kind is gone
    village.now_ns += NS_PER_S
    village.boot(trusted=trusted)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(GAPS_S, AHEAD_S, st.sampled_from((PROVINCE, COMMUNE))), max_size=8),
    st.sampled_from((APART_S + 1, 600, 2 * DAY_S)),
    st.lists(st.booleans(), max_size=3),
)
@example([(60, 0, PROVINCE)], APART_S + 1, [True])
def test_no_order_from_before_acts_again_and_what_is_signed_now_does(before, gap_s, boots):
    village, sent = Village(), []
    for wait_s, ahead_s, by in before:
        village.now_ns += wait_s * NS_PER_S
        sent.append(village.sealed(by, Kind.MUTE, late_s=-ahead_s, ttl_s=7 * DAY_S))
        village.send(sent[-1])
    lose(village)
    for boot in [False, *boots]:
        if boot:
            village.boot()
        assert not any(is_good(village.send(one)) for one in sent)
        village.now_ns += gap_s * NS_PER_S
        village.read_clock()
        assert village.order(PROVINCE, Kind.UNMUTE) == "obeyed"
        assert warn(village, 1000 + len(village.events)) == "waiting"


def test_while_no_clock_says_when_they_were_lost_the_floor_does_and_then_the_clock():
    village = Village()
    village.order(PROVINCE, Kind.BEACON, area="vn/lang-son")
    old = village.sealed(PROVINCE, Kind.MUTE, message_class=URGENT, ttl_s=7 * DAY_S)
    assert village.send(old) == "obeyed"
    lose(village, trusted=False)
    assert village.send(old) == OLD
    assert warn(village) == "waiting" and playing(village), "a new warning waits for no clock"
    later = village.sealed(PROVINCE, Kind.MUTE, message_class=URGENT)
    village.now_ns += 60 * NS_PER_S
    village.read_clock()
    assert village.send(later) == OLD, "nobody can tell any more"
    assert "sign it again" in village.answers()[-1].remedy


@pytest.mark.parametrize("kept", [b"lost", b"{", b"\xff", b"-5", b"1e9", b""])
def test_whatever_is_kept_of_the_loss_a_node_starts(kept):
    village = Village()
    village.disk[KEY] = kept
    village.boot()
    village.now_ns += (APART_S + 1) * NS_PER_S
    assert warn(village) == "waiting"
