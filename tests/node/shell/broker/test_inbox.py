"""Who waits for a broker is told: the answer, the message, or why there will be none."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.shell.broker.connection import MESSAGES_MAX, Inbox, LinkLostError, Received


def message(number):
    return Received("t", bytes([number % 256]), False, number)


@given(st.lists(st.sampled_from(["put", "expect", "answer", "end"]), max_size=40))
def test_nobody_waits_for_ever_once_the_connection_has_ended(steps):
    async def run():
        inbox, waiting, put = Inbox(asyncio.get_running_loop()), [], 0
        for number, step in enumerate(steps):
            if step == "put":
                put += inbox.lost is None
                inbox.put(message(number))
            elif step == "expect":
                waiting.append(inbox.expect(number))
            elif step == "answer":
                inbox.answer(number - 1, "yes")
            else:
                inbox.end(LinkLostError(f"end {number}"))
        inbox.end(LinkLostError("at last"))
        why = f"end {steps.index('end')}" if "end" in steps else "at last"
        await asyncio.wait_for(inbox.ended(), 1)
        for one in waiting:
            assert one.done() and (one.exception() is not None or one.result() == "yes")
        for _ in range(put):
            await inbox.receive()
        with pytest.raises(LinkLostError, match=why):
            await inbox.receive()

    asyncio.run(run())


def test_what_nobody_takes_has_a_bound_is_counted_and_said_once(caplog):
    async def run():
        inbox = Inbox(asyncio.get_running_loop())
        for number in range(MESSAGES_MAX + 3):
            inbox.put(message(number))
        assert inbox.overflown == 3
        assert [one.getMessage()[:40] for one in caplog.records] == [
            "more than 256 messages of the broker wai"
        ]
        assert [(await inbox.receive()).handle for _ in range(MESSAGES_MAX)] == list(
            range(MESSAGES_MAX)
        )

    asyncio.run(run())


def test_what_was_never_sent_has_no_answer():
    async def run():
        with pytest.raises(LinkLostError, match="not connected"):
            await Inbox(asyncio.get_running_loop()).expect(None)

    asyncio.run(run())
