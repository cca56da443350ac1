"""Where all parts tell that they changed, the loop sleeps for hours and misses none of them."""

import asyncio
import time

import pytest

from node.shell.loop.looks import Ended, Looks
from node.shell.machine import RealMachine, running_on
from node.shell.pace import Pace
from node.units import NS_PER_S

HOURS_NS = 10**13
SOON_S = 3.0
"""A tick of 0.1 s on a machine that has something else to do."""


class Part:
    """Something that tells."""

    def tell_changes(self, call):
        self.change = call


class Clock(Part, RealMachine):
    """A machine that tells when its clock is set."""


def sleeping(scene, *more):
    """Let a loop sleep for hours of which `scene` does something; return how long it slept, s."""
    part, clock = Part(), Clock()

    async def run():
        def note_change():
            looks.look_soon()

        looks = Looks(Pace(time.monotonic_ns()), (part, *more), note_change)
        ended = Ended(looks.stirred)
        looks.begin(watched=False)
        await scene(looks, part, clock, ended)
        now = time.monotonic_ns()
        wish_ns = now + HOURS_NS
        await asyncio.wait_for(looks.sleep(wish_ns, now, may_rest=False, end_ns=None), SOON_S)
        return (time.monotonic_ns() - now) / NS_PER_S

    with running_on(clock):
        return asyncio.run(run())


def later(call):
    asyncio.get_running_loop().call_later(0.05, call)


async def nothing(looks, part, clock, ended):
    pass


async def changes(looks, part, clock, ended):
    later(part.change)


async def clock_is_set(looks, part, clock, ended):
    later(clock.change)


async def changes_while_it_looks(looks, part, clock, ended):
    part.change()


async def ends(looks, part, clock, ended):
    later(ended.set)


async def ends_while_it_looks(looks, part, clock, ended):
    ended.set()


@pytest.mark.parametrize(
    "scene", [changes, clock_is_set, changes_while_it_looks, ends, ends_while_it_looks]
)
def test_what_happens_to_who_sleeps_for_hours_is_looked_at_soon(scene):
    assert sleeping(scene) < SOON_S


def test_who_looks_at_what_tells_nothing_looks_at_each_tick():
    assert sleeping(nothing, object()) < SOON_S


def test_a_change_that_was_looked_at_is_not_looked_at_again():
    looked = []

    async def looked_at(looks, part, clock, ended):
        part.change()
        now = time.monotonic_ns()
        first = looks.sleep(now + HOURS_NS, now, may_rest=False, end_ns=None)
        await asyncio.wait_for(first, SOON_S)
        looked.append(now)

    with pytest.raises(TimeoutError):
        sleeping(looked_at)
    assert looked
