"""A hop that packets pass one after another, and what befalls them there; one that was recorded.

While streams pass it too, packets have of its rate what these leave, and find no room where they
leave none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_MS
from sim.chance.rng import Purpose, raw_draws, stream
from sim.links.bearer import Bearer
from sim.links.kernel import LOST_NS
from sim.links.sleep import Modem

SLOT_NS: Final = 20 * NS_PER_MS
"""A stream has a packet in so much time: bursts of loss are counted in them."""

ROOM_MIN: Final = 0.01
"""Of a rate that streams nearly fill."""

TROUBLES: Final = ("corrupt", "duplicate", "reorder")


@dataclass(slots=True)
class Line:
    """A rate that orders share with streams."""

    rate_kbit_s: float
    asked_kbit_s: float
    """By streams and chatter: more where it is full, for what found no room is asked for again."""
    queue_ns: int
    """What finds room while it is full waits so long."""


Down = Callable[[int], bool]
"""Whether a hop is cut by a fault at a time."""


class Hop:
    """What packets pass in one direction, one after the other, and what befalls them there."""

    # Of more than 30 attributes each object has a table of names of its own, of 1.3 kB.
    __slots__ = (
        "_befallen", "_crowd_bits", "_down", "_modem", "_pushed", "_rated", "_trouble_at",
        "_trouble_bits", "beyond", "bytes", "full", "kept_awake", "left_beyond", "left_share",
        "packets", "shared", "troubled",
    )  # fmt: skip

    def __init__(
        self,
        rated: Bearer | None,
        *,
        seed: int,
        commune: str,
        node: str,
        down: Down | None,
        modem: Modem | None,
        pushed: bool,
    ) -> None:
        self._rated = rated
        """Whose rate and queue it has; None: none that is known."""
        self._down = down
        self._modem = modem
        self._pushed = pushed
        """It goes to the modem, and not from it."""
        self._crowd_bits = stream(seed, Purpose.CROWD, commune=commune, node=node)
        self.kept_awake = False
        """A stream keeps the modem from sleeping."""
        self.shared: tuple[Line, ...] = ()
        """While streams pass: its own rate."""
        self.beyond: tuple[Line, ...] = ()
        """And what it shares with other hops."""
        self.left_share = 1.0
        """What others leave of it."""
        self.left_beyond = 1.0
        """What they leave of what it shares with other hops."""
        self._befallen: dict[str, tuple[int, int]] = {}
        """Kind of trouble to (share of packets in 2**32, how long they are held back)."""
        self._trouble_at = (seed, commune, node)
        self._trouble_bits: np.random.PCG64 | None = None  # until there is some
        self.packets = 0
        self.bytes = 0
        self.troubled = 0
        """Packets that were damaged, doubled or held back."""
        self.full = 0
        """Packets for which the queue had no room."""

    def carry(self, at_ns: int, size_bytes: int) -> int:
        """Return when a packet that comes here at `at_ns` is through, or LOST_NS.

        `size_bytes` has all headers.
        """
        self.packets += 1
        self.bytes += size_bytes
        arrive_ns = self._cross(at_ns, size_bytes)
        if self._down is not None and self._down(at_ns if arrive_ns == LOST_NS else arrive_ns):
            return LOST_NS
        return arrive_ns if not self._befallen else self._troubled(arrive_ns, size_bytes)

    def is_closed(self, at_ns: int) -> bool:
        """Return whether nothing at all comes through at a time."""
        return self._down is not None and self._down(at_ns)

    def befall(self, kind: str, share: float, *, held_ns: int = 0) -> None:
        """Let so many of the packets be damaged, doubled or held back from now on; 0: none."""
        self._befallen.pop(kind, None)
        if share:
            self._befallen[kind] = (round(share * (1 << 32)), held_ns)

    @property
    def rate_kbit_s(self) -> float:
        """Return its rate, all of it."""
        return inf if self._rated is None else self._rated.rate_kbit_s.value

    @property
    def queue_ns(self) -> int:
        """Return how long a packet waits there at the most."""
        return 0 if self._rated is None else round(self._rated.queue_ms.value * NS_PER_MS)

    def _cross(self, at_ns: int, size_bytes: int) -> int:
        """Return when a packet is through that nothing befalls, or LOST_NS."""
        raise NotImplementedError

    def _takes_twice(self) -> None:
        """Let a packet take its time on the link once more."""

    def _troubled(self, arrive_ns: int, size_bytes: int) -> int:
        """Return when a packet is through that something befalls, or LOST_NS."""
        if self._trouble_bits is None:
            seed, commune, node = self._trouble_at
            self._trouble_bits = stream(seed, Purpose.TROUBLE, commune=commune, node=node)
        draws = raw_draws(self._trouble_bits, len(TROUBLES)) >> np.uint64(32)
        met = {
            kind: self._befallen[kind][1]
            for kind, draw in zip(TROUBLES, draws.tolist(), strict=True)
            if kind in self._befallen and draw < self._befallen[kind][0]
        }
        self.troubled += len(met)
        if "duplicate" in met:  # whoever takes it drops it, but it had its time on the link
            self.packets += 1
            self.bytes += size_bytes
            self._takes_twice()
        if arrive_ns == LOST_NS or "corrupt" in met:
            return LOST_NS
        return arrive_ns + met.get("reorder", 0)

    def _awake_ns(self, at_ns: int) -> int:
        """Return when the modem at the end, or at the begin, takes a packet of `at_ns`."""
        if self._modem is None or (self._down is not None and self._down(at_ns)):
            return at_ns
        if self._pushed and not self.kept_awake:
            return self._modem.pushed(at_ns)
        self._modem.sends(at_ns)
        return at_ns

    def _among_others(self, at_ns: int) -> int:
        """Return when a packet has found room in the lines that streams fill, or LOST_NS."""
        if not (self.shared or self.beyond) or not (lost := self._finds_no_room()):
            return at_ns
        draw = int(raw_draws(self._crowd_bits, 1)[0] >> np.uint64(32))
        if draw < lost * (1 << 32):
            self.full += 1
            return LOST_NS
        full_ns = (one.queue_ns for one, left in self._lines() if left < one.asked_kbit_s)
        return at_ns + sum(full_ns)

    def _finds_no_room(self) -> float:
        """Return which share of all that comes to a line that is full finds no room there: 0 where
        all that is asked fits. What finds some waits for the whole queue of each such line.
        """
        return 1.0 - min(
            (left / line.asked_kbit_s for line, left in self._lines() if left < line.asked_kbit_s),
            default=1.0,
        )

    @property
    def _share(self) -> float:
        """Return what is left of the rate when streams and others have taken theirs."""
        share = self.left_share
        taken = ((left - line.asked_kbit_s) / self.rate_kbit_s for line, left in self._lines())
        room = min((one for one in taken if one >= 0), default=share)
        return min(max(room, ROOM_MIN * share), share)

    def _lines(self) -> list[tuple[Line, float]]:
        """Return each line that streams pass too, and what others leave of it, kbit/s."""
        found = [(one, one.rate_kbit_s * self.left_share) for one in self.shared]
        return found + [(one, one.rate_kbit_s * self.left_beyond) for one in self.beyond]


class Recorded(Hop):
    """A hop as somebody has recorded it: a packet takes what one took at that moment of the trace.

    transit_ns  (n,) int64, ns, LOST_NS for what was lost: a packet in each slot, again from the
                start when it ends

    Without a bearer that it is like it has no rate: nothing queues. What a packet by itself takes
    at that rate is in what was recorded. A trace is of one way; of the other nobody knows better.
    """

    def __init__(
        self,
        transit_ns: NDArray[np.int64],
        like: Bearer | None,
        *,
        seed: int,
        commune: str,
        node: str,
        down: Down | None,
        modem: Modem | None = None,
        pushed: bool = False,
        slot_ns: int = SLOT_NS,
    ) -> None:
        super().__init__(
            like, seed=seed, commune=commune, node=node, down=down, modem=modem, pushed=pushed
        )
        self._transit_ns = transit_ns
        self._slot_ns = slot_ns
        self._free_ns = 0
        self._takes_ns = 0
        """What the last packet took at what is left of the rate."""

    def _takes_twice(self) -> None:
        self._free_ns += self._takes_ns

    def _cross(self, at_ns: int, size_bytes: int) -> int:
        at_ns = self._among_others(self._awake_ns(at_ns))
        if at_ns == LOST_NS:
            return LOST_NS
        if self._rated is not None:
            alone_ns = 8 * size_bytes * NS_PER_MS / self.rate_kbit_s
            start_ns = max(at_ns, self._free_ns)
            if start_ns - at_ns > self.queue_ns:
                self.full += 1
                return LOST_NS
            self._takes_ns = round(alone_ns / self._share)
            self._free_ns = start_ns + self._takes_ns
            at_ns = self._free_ns - round(alone_ns)
        transit_ns = int(self._transit_ns[at_ns // self._slot_ns % self._transit_ns.size])
        return LOST_NS if transit_ns == LOST_NS else at_ns + transit_ns
