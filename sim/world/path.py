"""The way of single packets through hops that others use too: each has one rate and one queue.

A hop is the model of `sim.links.kernel`, asked packet by packet in the order of time. Between
packets that are far apart its bursts of loss pass: what decides is time, not how often one tries.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from node.kernel.bound import bound
from node.kernel.record import new
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, raw_draws, stream
from sim.links import kernel
from sim.links.bearer import Bearer
from sim.links.channel import direction_of, jitter_of
from sim.links.sleep import Modem
from sim.links.spells import Spells, stalls_of
from sim.world.hop import SLOT_NS, Down, Hop

LOST_NS: Final = kernel.LOST_NS

_AHEAD: Final = 64
"""Draws taken at once."""

_STATES: Final = 256
"""So many packets may be asked for ahead of one that comes before them."""

_SPELLS_NS: Final = 60 * NS_PER_S
_SLACK_NS: Final = 30 * NS_PER_S
"""Neighbours ask a shared cell a little out of order: spells are kept so much longer."""


class Modelled(Hop):
    """A hop by the model of its bearer.

    `behind_others`: packets come to it from several hops, which keep some of them for seconds. One
    that the hop before it kept is asked for ahead of others, which come here before it: they do not
    wait for it.
    """

    def __init__(
        self,
        bearer: Bearer,
        *,
        seed: int,
        commune: str,
        node: str,
        busy: Spells,
        outages: Spells,
        down: Down | None = None,
        modem: Modem | None = None,
        pushed: bool = False,
        spells_from_ns: int = 0,
        behind_others: bool = False,
    ) -> None:
        super().__init__(
            bearer, seed=seed, commune=commune, node=node, down=down, modem=modem, pushed=pushed
        )
        self._bearer = bearer
        self._spells_from_ns = spells_from_ns
        """When its spells begin to be drawn: with a live programme, which meets the same ones."""
        self._loss_bits = stream(seed, Purpose.LOSS, commune=commune, node=node)
        self._jitter_bits = stream(seed, Purpose.JITTER, commune=commune, node=node)
        self._gap_bits = stream(seed, Purpose.GAP, commune=commune, node=node)
        self._stalls = stalls_of(bearer, stream(seed, Purpose.STALL, commune=commune, node=node))
        self._busy = busy
        self._outages = outages
        self._direction = direction_of(bearer, packet_bits=0)
        # Each a view of one number: a field by its name costs more than the number.
        self._bad = self._direction["bad"]
        self._free_ns = self._direction["free_ns"]
        self._transmit_ns = self._direction["transmit_ns"]
        self._queue_ns = int(self._direction["queue_ns"][0])
        self._bad[0] = int(
            int(raw_draws(self._loss_bits, 1)[0] >> np.uint64(32))
            < bearer.loss_pct.value / 100 * (1 << 32)
        )
        self._used = _AHEAD
        self._known_until_ns = -1
        self._last_ns = 0
        self._traverse = bound(kernel.traverse, self._direction)
        self._ahead = new(kernel.Passing, _AHEAD)
        self._depart_ns = self._ahead["depart_ns"]
        self._arrive_ns = self._ahead["arrive_ns"]
        self._newest_ns = self._direction["newest_ns"]
        self._states: deque[tuple[int, int, int]] | None = None
        """Of the last packets: when each came here, and the hop's two times after it."""
        if behind_others:
            self._states = deque(maxlen=_STATES)

    def _cross(self, at_ns: int, size_bytes: int) -> int:
        at_ns = self._among_others(self._awake_ns(at_ns))
        if at_ns == LOST_NS:
            return LOST_NS
        if self._used == _AHEAD:
            self._ahead["raw"] = raw_draws(self._loss_bits, _AHEAD)
            jitter_bits = raw_draws(self._jitter_bits, _AHEAD)
            self._ahead["jitter_ns"] = jitter_of(self._bearer, jitter_bits)
            self._used = 0
        i, self._used = self._used, self._used + 1
        if at_ns >= self._known_until_ns:
            self._look_ahead(at_ns)
        if at_ns - self._last_ns > 2 * SLOT_NS:
            self._pass_time(at_ns - self._last_ns)
        self._last_ns = at_ns
        self._transmit_ns[0] = round(
            8 * size_bytes * NS_PER_MS / (self._bearer.rate_kbit_s.value * self._share)
        )
        later = self._go_back(at_ns)
        if self._free_ns[0] - at_ns > self._queue_ns:
            self.full += 1
        self._depart_ns[i] = at_ns
        self._traverse(self._ahead[i : i + 1], self._stall_rows, self._busy_rows, self._outage_rows)
        self._go_on(at_ns, later)
        return int(self._arrive_ns[i])

    def is_closed(self, at_ns: int) -> bool:
        """Return whether nothing at all comes through at a time: it is cut, or has no signal."""
        return self._bearer.loss_pct.value >= 100 or super().is_closed(at_ns)

    def _takes_twice(self) -> None:
        self._free_ns[0] += self._transmit_ns[0]

    def _go_back(self, at_ns: int) -> list[tuple[int, int, int]]:
        """Take the hop back to how it was at `at_ns`; return the packets that come after that."""
        later: list[tuple[int, int, int]] = []
        while self._states and self._states[-1][0] > at_ns:
            later.append(self._states.pop())
        if later:
            before = self._states[-1] if self._states else (0, 0, 0)
            self._free_ns[0], self._newest_ns[0] = before[1:]
        return later

    def _go_on(self, at_ns: int, later: list[tuple[int, int, int]]) -> None:
        """Note how the hop is after a packet, and come back to those after it."""
        if self._states is None:
            return
        now = (int(self._free_ns[0]), int(self._newest_ns[0]))
        self._states.append((at_ns, *now))
        for came_ns, free_ns, newest_ns in reversed(later):
            now = (max(now[0], free_ns), max(now[1], newest_ns))
            self._states.append((came_ns, *now))
        self._free_ns[0], self._newest_ns[0] = now

    def _look_ahead(self, at_ns: int) -> None:
        since_ns = at_ns - self._spells_from_ns
        begin_ns, end_ns = max(0, since_ns - _SLACK_NS), max(0, since_ns + 2 * _SPELLS_NS)
        later_ns = np.array([self._spells_from_ns, self._spells_from_ns, 0], np.int64)
        self._stall_rows, self._busy_rows, self._outage_rows = (
            np.ascontiguousarray(one.until(begin_ns, end_ns) + later_ns)
            for one in (self._stalls, self._busy, self._outages)
        )
        self._known_until_ns = at_ns + _SPELLS_NS

    def _pass_time(self, gap_ns: int) -> None:
        """Let the loss process run through a silence, in slots of a stream's packets."""
        enter = int(self._direction["enter_loss"][0])
        leave = int(self._direction["leave_loss"][0])
        both = (enter + leave) / (1 << 32)
        if not enter or both <= 0:
            return
        slots = min(int(gap_ns // SLOT_NS) - 1, 1024)
        stays, factor = 1.0, 1 - both
        while slots > 0:  # products only: the same bits on every machine
            if slots & 1:
                stays *= factor
            factor *= factor
            slots >>= 1
        share = enter / (enter + leave)
        bad = share + (int(self._bad[0]) - share) * stays
        draw = int(raw_draws(self._gap_bits, 1)[0] >> np.uint64(32))
        self._bad[0] = int(draw < bad * (1 << 32))


class Path:
    """Hops one after the other; a packet that one of them loses does not reach the next."""

    def __init__(self, hops: Sequence[Hop]) -> None:
        self._hops = tuple(hops)
        self.extra_ns = 0
        """What a detour costs: a way that becomes shorter lets what is new overtake what is old."""

    def is_closed(self, at_ns: int) -> bool:
        """Return whether nothing at all comes through at a time."""
        return any(hop.is_closed(at_ns) for hop in self._hops)

    def carry(self, at_ns: int, size_bytes: int) -> int:
        """Return when a packet sent at `at_ns` arrives, or LOST_NS."""
        for hop in self._hops:
            at_ns = hop.carry(at_ns, size_bytes)
            if at_ns == LOST_NS:
                return LOST_NS
        return at_ns + self.extra_ns
