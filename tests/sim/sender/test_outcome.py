"""Exit status 0 means that the sound was delivered, as far as the network says."""

import errno

import pytest

from sim.sender.outcome import Outcome

S = 1_000_000_000


def after(packets, *, refused=0, error=errno.ENETUNREACH):
    outcome = Outcome()
    for i in range(packets):
        outcome.note_sent(error if i < refused else 0, i * S // 50, sound=True)
    return outcome


@pytest.mark.parametrize("refused", [6, 25, 50])
def test_a_destination_that_lost_a_tenth_did_not_get_the_sound(refused):
    fault = after(50, refused=refused).fault(S)
    assert fault is not None
    assert f"{refused} of 50" in fault and "is the network up?" in fault


@pytest.mark.parametrize("refused", [0, 1, 5])
def test_a_short_jam_of_the_own_machine_is_no_failure(refused):
    assert after(50, refused=refused, error=errno.ENOBUFS).fault(S) is None


def test_a_broadcast_address_and_a_firewall_are_named():
    assert "group" in after(5, refused=5, error=errno.EACCES).fault(S)
    assert "firewall" in after(5, refused=5, error=errno.EPERM).fault(S)


def test_nobody_there_at_the_end_is_a_failure_and_a_node_that_started_late_is_none():
    outcome = after(500)
    assert outcome.note_unheard(errno.ECONNREFUSED, 9 * S)
    assert not outcome.note_unheard(errno.ECONNREFUSED, 9 * S), "said once"
    assert "is the node started" in outcome.fault(10 * S)
    assert outcome.fault(13 * S) is None, "it was quiet since: somebody took it"
    outcome.heard_ns = 95 * S // 10
    assert outcome.fault(10 * S) is None, "the node reported"
    assert outcome.note_unheard(errno.ECONNREFUSED, 98 * S // 10), "gone again: that is news"
    assert outcome.fault(10 * S) is not None


def test_what_never_left_is_said_after_three_seconds():
    outcome = after(1, refused=1)
    assert not outcome.is_hopeless(2 * S)
    assert outcome.is_hopeless(3 * S)
    outcome.note_sent(0, 3 * S, sound=False)
    assert not outcome.is_hopeless(100 * S)
