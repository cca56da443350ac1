"""A node that says nothing is known to live, for few bytes, and knows whether its broker does."""

import asyncio
import itertools
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.shell.broker import beats
from node.shell.broker.beats import ASK_S, Beats

from .test_broker import ROOT, broker, head_end, link_to, until  # noqa: F401


@given(
    st.floats(3, 600),
    st.lists(st.floats(0.1, 900), max_size=30),
    st.booleans(),
)
def test_no_silence_is_longer_than_was_promised_and_nothing_is_said_twice(every_s, own, answers):
    sent, said = [], [0.0]

    def send(asks):
        sent.append((now_s, asks))
        said.append(now_s)

    one, now_s, due_s = Beats(every_s, send, 0.0), 0.0, every_s
    for wait_s in own:
        until_s = now_s + wait_s
        while due_s <= until_s:
            now_s = due_s
            if one.is_unanswered(now_s):
                assert not answers
                return
            due_s = now_s + one.run(now_s)
            if answers and sent and sent[-1] == (now_s, True):
                one.note_answer(now_s)
        now_s = until_s
        one.note_said(now_s)
        said.append(now_s)
    assert all(b - a <= every_s + 1e-6 for a, b in itertools.pairwise(said))
    assert all(b[0] - a[0] >= every_s - 1e-6 for a, b in itertools.pairwise(sent))
    asked = [at for at, asks in sent if asks]
    assert all(b - a >= ASK_S for a, b in itertools.pairwise(asked))


async def test_a_silent_node_is_not_lost_and_others_hear_its_beats(broker):  # noqa: F811
    link = link_to(broker, keepalive_s=3)
    async with head_end(broker) as head:
        await head.subscribe(f"{ROOT}/#")
        told = []

        def took(topic, payload):
            told.append((topic, payload))

        async def listen():
            async for message in head.messages:
                took(str(message.topic), bytes(message.payload))

        listening = asyncio.create_task(listen())
        running = asyncio.create_task(link.run(lambda topic, payload: None))
        await until(lambda: link.connected)
        await asyncio.sleep(10)  # three times what makes the broker give it up
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        listening.cancel()
    words = [body for topic, body in told if topic == f"{ROOT}/state"]
    assert not any(b'"lost"' in one for one in words)
    assert link.reconnects == 0
    assert 2 <= sum(topic == f"{ROOT}/beat" for topic, _ in told) <= 4


async def test_a_broker_that_stands_still_is_noticed(broker, monkeypatch):  # noqa: F811
    monkeypatch.setattr(beats, "ASK_S", 1.0)
    link = link_to(broker, keepalive_s=3)
    running = asyncio.create_task(link.run(lambda topic, payload: None))
    await until(lambda: link.connected)
    broker.signal(signal.SIGSTOP)
    try:
        await until(lambda: not link.connected, limit_s=9)
    finally:
        broker.signal(signal.SIGCONT)
    await until(lambda: link.connected, limit_s=12)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("every_s", [3, 12, 600])
def test_a_broker_that_answers_nothing_is_given_up_a_silence_after_it_was_asked(every_s):
    sent = []
    one, now_s = Beats(every_s, sent.append, 0.0), 0.0
    while not one.is_unanswered(now_s):
        now_s += one.run(now_s)
    assert sent.count(True) == 1
    assert now_s <= ASK_S + 2 * every_s + 1
