"""What a command beside the node knows of the time: what the node itself would say.

A machine whose clock was never set says 1970, or whatever its last owner set. So dates of
certificates and identities are held against that clock only where it is synchronised and not below
the floor; else against the floor, the newest of build, kept and signed: what is over by it is over.
"""

from collections.abc import Mapping

from node.control.civil_time import CivilClock
from node.control.settings import ControlConfig
from node.control.trust.gatekeeper import FLOOR_KEY, kept_floors
from node.shell.clocks import clock_synchronised, now_ns, utc_ns
from node.shell.keys.floor_tls import KnownTime
from node.units import NS_PER_S


def clock_of(control: ControlConfig, stored: Mapping[str, bytes]) -> CivilClock:
    """Return civil time as the machine shows it now, over the floor of a store."""
    clock = CivilClock(control.build_utc_s * NS_PER_S)
    for level, seconds in kept_floors(stored.get(FLOOR_KEY, b"")).items():
        clock.receive_floor(seconds * NS_PER_S, level=level)
    is_good = control.clock == "trusted" or clock_synchronised()
    clock.receive_time(utc_ns(), now_ns(), synchronised=is_good)
    return clock


def known_by(clock: CivilClock) -> KnownTime:
    """Return how TLS asks `clock`: seconds since 1970, and whether that is the time."""
    return lambda: (clock.least_s(now_ns()), clock.trusted)
