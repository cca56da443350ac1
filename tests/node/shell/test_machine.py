"""A daemon reads the clocks of the machine that it runs on, whichever that is."""

import asyncio

from node.shell.clocks import clock_synchronised, now_ns, utc_ns
from node.shell.machine import machine, running_on


class Another:
    def now_ns(self):
        return 7

    def utc_ns(self):
        return 8

    def clock_synchronised(self):
        return True

    def uniform(self, low, high):
        return low


def test_what_a_daemon_begins_runs_on_its_machine_and_others_on_theirs():
    async def daemon():
        await asyncio.sleep(0)
        return now_ns(), utc_ns(), clock_synchronised(), machine().uniform(1, 2)

    async def main():
        with running_on(Another()):
            one = asyncio.create_task(daemon())
        other = asyncio.create_task(daemon())
        return await one, await other

    one, other = asyncio.run(main())
    assert one == (7, 8, True, 1)
    assert other[0] > 10**6 and other[1] > 10**18 and 1 <= other[3] <= 2
