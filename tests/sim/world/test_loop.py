"""Time that jumps: in whole nanoseconds, in one order, and nothing real in it."""

import asyncio
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.shell.machine import running_on
from sim.world.guard import guarded
from sim.world.loop import DeadlockError, LivelockError, NotVirtualError, VirtualLoop

S = 10**9


@pytest.fixture
def loop():
    one = VirtualLoop()
    yield one
    one.close()


@given(st.lists(st.integers(0, 2**62), max_size=30))
def test_callbacks_run_at_their_instant_and_in_the_order_in_which_they_were_asked_for(when_ns):
    loop = VirtualLoop()
    seen = []
    for number, at_ns in enumerate(when_ns):
        loop.call_at_ns(at_ns, lambda n=number: seen.append((loop.now_ns, n)))
    loop.run_for(2**62)
    assert seen == sorted((at_ns, number) for number, at_ns in enumerate(when_ns))
    loop.close()


def test_days_of_sleep_take_no_time(loop):

    async def sleeper(seconds):
        for _ in range(10):
            await asyncio.sleep(seconds)

    async def main():
        await asyncio.gather(sleeper(86_400), sleeper(0.000000001), sleeper(3))

    begin_s = time.monotonic()
    loop.run_until_complete(main())
    assert loop.now_ns == 864_000 * S
    assert time.monotonic() - begin_s < 5


def test_a_timeout_is_a_timeout(loop):

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(8.0):
                await asyncio.Event().wait()
        return loop.now_ns

    assert loop.run_until_complete(main()) == 8 * S


def test_who_waits_for_nothing_is_told_instead_of_hanging(loop):
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        loop.run_until_complete(main())


def test_who_asks_again_and_again_at_one_instant_is_told_instead_of_hanging(loop):

    def again():
        loop.call_soon(again)

    loop.call_soon(again)
    with pytest.raises(LivelockError):
        loop.run_for(S)


class Slow:
    """A machine whose clock shows half of the time."""

    def __init__(self, loop):
        self._loop = loop

    def now_ns(self):
        return self._loop.now_ns // 2

    def true_ns(self, local_ns):
        return 2 * local_ns


def test_each_daemon_reads_the_clock_of_its_own_machine(loop):

    async def daemon():
        await asyncio.sleep(10)
        done = asyncio.Event()
        loop.call_at(loop.time() + 1, done.set)
        await done.wait()
        return loop.time()

    async def main():
        with running_on(Slow(loop)):
            slow = asyncio.create_task(daemon())
        return await slow, await daemon()

    assert loop.run_until_complete(main()) == (6.0, 23.0)


@given(st.integers(0, 2**50), st.floats(1e-12, 100.0))
def test_who_waits_for_what_its_own_clock_says_is_left_is_done_waiting(begin_ns, wait_s):
    """A slow clock says that more is left each time, less than a nanosecond in the end."""
    loop = VirtualLoop()

    async def daemon():
        end_s = loop.time() + wait_s
        for asked in range(100):
            if (left_s := end_s - loop.time()) <= 0:
                return asked
            done = asyncio.Event()
            loop.call_later(left_s, done.set)
            await done.wait()

    async def main():
        with running_on(Slow(loop)):
            return await asyncio.create_task(daemon())

    loop.run_for(begin_ns)
    assert loop.run_until_complete(main()) is not None
    loop.close()


def open_a_file():
    with open("/dev/null") as file:
        file.read()


@pytest.mark.parametrize(
    "real",
    [
        lambda: time.time() + 1,
        lambda: time.monotonic_ns() + 1,
        lambda: time.sleep(0),
        lambda: socket.socket().close(),
        lambda: threading.Thread(target=print).start(),
        lambda: subprocess.run(["true"], check=False),
        open_a_file,
        lambda: sqlite3.connect(":memory:"),
    ],
    ids=["time", "monotonic", "sleep", "socket", "thread", "process", "file", "database"],
)
def test_what_is_real_fails_the_run_and_is_well_again_after_it(real, loop):
    async def main():
        await asyncio.sleep(1)
        real()

    with guarded(), pytest.raises(NotVirtualError):
        loop.run_until_complete(main())
    assert time.time() > 10**9
    open_a_file()


def test_an_executor_is_refused(loop):
    async def main():
        await asyncio.get_running_loop().run_in_executor(None, print)

    with pytest.raises(NotVirtualError):
        loop.run_until_complete(main())
