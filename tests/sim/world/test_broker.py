"""The modelled broker does what a real one does, as far as nodes and station can tell."""

import pytest

from sim.world.broker import (
    KEEP_ALIVE_TIMEOUT,
    NOT_AUTHORISED,
    TAKEN_OVER,
    Broker,
    Message,
    matches,
)
from sim.world.loop import VirtualLoop

S = 10**9


class Client:
    def __init__(self, identifier):
        self.identifier = identifier
        self.got = []
        self.ended = None

    def give(self, message, handle):
        self.got.append((message.topic, message.payload, message.retain, handle))

    def drop(self, reason):
        self.ended = reason


@pytest.fixture
def loop():
    one = VirtualLoop()
    yield one
    one.close()


def join(broker, client, *topics, session_s=3600, keep_alive_s=0, will=None, will_delay_s=0):
    present = broker.connect(
        client,
        keep_alive_s=keep_alive_s,
        session_s=session_s,
        receive_max=2,
        will=will,
        will_delay_s=will_delay_s,
    )
    broker.resume(client)
    if topics:
        broker.subscribe(client, list(topics))
    return present


def order(number, **more):
    return Message("cmd", b"%d" % number, 1, False, **more)


def test_an_order_given_while_a_node_is_away_comes_with_its_next_connection(loop):
    broker, desk = Broker(loop), Client("desk")
    first = Client("pole")
    assert not join(broker, first, "cmd")
    broker.left(first, said_so=False)
    join(broker, desk)
    broker.publish(desk, order(1))
    again = Client("pole")
    assert join(broker, again)
    assert [payload for _, payload, *_ in again.got] == [b"1"]


def test_what_was_not_acknowledged_is_given_again_and_what_was_is_not(loop):
    broker, desk, pole = Broker(loop), Client("desk"), Client("pole")
    join(broker, pole, "cmd")
    join(broker, desk)
    for number in range(3):
        broker.publish(desk, order(number))
    assert [payload for _, payload, *_ in pole.got] == [b"0", b"1"], "no more than it takes"
    broker.acknowledge(pole, pole.got[0][3])
    assert [payload for _, payload, *_ in pole.got] == [b"0", b"1", b"2"]
    broker.left(pole, said_so=False)
    again = Client("pole")
    join(broker, again)
    assert [payload for _, payload, *_ in again.got] == [b"1", b"2"]


def test_a_session_ends_with_its_expiry_and_an_order_with_its_own(loop):
    broker, desk = Broker(loop), Client("desk")
    for name, session_s in (("a", 100), ("b", 1000)):
        client = Client(name)
        join(broker, client, "cmd", session_s=session_s)
        broker.left(client, said_so=False)
    join(broker, desk)
    broker.publish(desk, order(1, until_ns=500 * S))
    broker.publish(desk, order(2))
    loop.run_for(600 * S)
    a, b = Client("a"), Client("b")
    assert not join(broker, a)
    assert join(broker, b)
    assert a.got == []
    assert [payload for _, payload, *_ in b.got] == [b"2"], "the first order is void"


def test_a_silent_client_is_given_up_and_its_will_is_told_after_the_delay(loop):
    broker, pole, desk = Broker(loop), Client("pole"), Client("desk")
    will = Message("state", b"lost", 1, True)
    join(broker, desk, "state")
    join(broker, pole, keep_alive_s=10, will=will, will_delay_s=2)
    loop.run_for(14 * S)
    assert pole.ended is None
    loop.run_for(2 * S)
    assert pole.ended == KEEP_ALIVE_TIMEOUT
    assert broker.retained("state") is None
    loop.run_for(2 * S)
    assert broker.retained("state") == b"lost"
    assert desk.got[0][:3] == ("state", b"lost", False)


def test_who_is_back_before_the_delay_was_not_lost_and_who_says_goodbye_neither(loop):
    broker = Broker(loop)
    will = Message("state", b"lost", 1, True)
    for said_so in (False, True):
        pole = Client("pole")
        join(broker, pole, will=will, will_delay_s=5)
        broker.left(pole, said_so=said_so)
    join(broker, Client("pole"), will=will, will_delay_s=5)
    loop.run_for(60 * S)
    assert broker.retained("state") is None


def test_two_clients_of_one_name_push_each_other_out(loop):
    broker, one, two = Broker(loop), Client("pole"), Client("pole")
    join(broker, one, "cmd")
    assert join(broker, two)
    assert (one.ended, two.ended) == (TAKEN_OVER, None)


def test_a_restart_without_its_database_forgets_sessions_and_retained_messages(loop):
    for database in (True, False):
        broker, pole, desk = Broker(loop), Client("pole"), Client("desk")
        join(broker, pole, "cmd")
        join(broker, desk)
        broker.publish(desk, Message("state", b"ready", 1, True))
        broker.stop()
        assert pole.ended is not None
        broker.start(database=database)
        assert join(broker, Client("pole")) is database
        assert broker.retained("state") == (b"ready" if database else None)


def test_a_topic_that_is_not_allowed_is_refused_by_its_reason(loop):
    broker = Broker(loop, allows=lambda who, topic: topic != "cmd")
    pole = Client("pole")
    join(broker, pole)
    assert broker.subscribe(pole, ["cmd", "state"]) == [NOT_AUTHORISED, 1]
    assert broker.publish(pole, order(1)) == NOT_AUTHORISED


def test_retained_messages_come_marked_to_a_new_subscription_and_unmarked_to_old_ones(loop):
    broker, desk, old = Broker(loop), Client("desk"), Client("old")
    join(broker, old, "+/state")
    join(broker, desk)
    broker.publish(desk, Message("a/state", b"ready", 1, True))
    new = Client("new")
    join(broker, new, "+/state")
    assert old.got[0][2] is False
    assert new.got[0][2] is True
    assert matches("#", "a/b") and matches("a/#", "a/b/c") and not matches("+", "a/b")
