"""Where one node's chunk is worked out: room that is used again for the next node's."""

from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from node.clock.state import Line
from node.jitter.state import Jitter
from node.kernel.record import Records, as_bytes, inner, new, octets, zeros_apart
from node.source.state import FIFO_SAMPLES, Played, Playout, Source
from node.units import NS_PER_S
from sim.fleet.around import NUMBER, PRESENTATION
from sim.fleet.state import Hearing, Listener
from sim.links.kernel import LOST_NS

JOURNAL_ROWS: Final = 24_576
"""As many chunks of sound as are worked out at once; more are, in several parts."""

CHUNK_NS: Final = 360 * NS_PER_S
"""What is worked out of a node at a time, so that the calls of Python are few: all of it within the
minutes of a clock that are looked at together."""

LONGEST_NS: Final = CHUNK_NS + 10 * NS_PER_S
"""What would be a shorter chunk than the difference at the end of a run is done with the last."""

_REMEMBERED_NS: Final = 60 * NS_PER_S
"""At least twice the longest playout delay, so that each packet that plays is remembered."""

_SPARE: Final = 64
_PERIODS_NS: Final = LONGEST_NS + 2 * NS_PER_S
_WAYS: Final = 3
"""When packets were sent, departed and arrived, as `sim.drive.sums` looks at it."""
SENT: Final = 0
ARRIVED: Final = 2


class Desk:
    """Room for one node's chunk; one for each thread."""

    def __init__(self) -> None:
        self.arrivals = np.zeros((NUMBER + 1, 0), np.int64)
        """(2, a) int64, ns and counts: see `sim.fleet.around`."""
        self.periods = np.zeros((PRESENTATION + 1, 0), np.int64)
        """(6, m) int64, ns, flags and counts: likewise."""
        self.journal = new(Played, JOURNAL_ROWS)
        self.journal_rows = as_bytes(self.journal)
        """(JOURNAL_ROWS,) void, bytes: the same memory."""
        self.journal_octets = self.journal_rows.view(np.uint8)
        """Likewise, (bytes,) uint8."""
        self.seconds = np.zeros((2, JOURNAL_ROWS), np.int64)
        """(2, JOURNAL_ROWS) int64: seconds of media time, and when they were heard, ns."""
        self._seats: list[Seat] = []
        self.room = np.zeros((FIFO_SAMPLES, 0), np.float32)
        """(FIFO_SAMPLES, 0) float32, full scale 1.0: the sound that nobody hears."""

    def seat(self, number: int) -> "Seat":
        """Return the records of the node of that number, as they were left."""
        while len(self._seats) <= number:
            self._seats.append(Seat())
        return self._seats[number]

    def make_room(self, packets: int, period_ns: int) -> None:
        """Have room for so many packets, and for periods of that length."""
        if self.arrivals.shape[1] < packets:
            self.arrivals = np.zeros((NUMBER + 1, 2 * packets), np.int64)
        periods = _PERIODS_NS // period_ns + _SPARE
        if self.periods.shape[1] < periods:
            self.periods = np.zeros((PRESENTATION + 1, periods), np.int64)


class Seat:
    """The records of one node, and the numbers in them that Python looks at: found once for all.

    A field that is asked for by its name costs ten times as much as its number.
    """

    def __init__(self) -> None:
        self.ways = Ways()
        self.hearing = cast("Records[Hearing]", zeros_apart((1,), Hearing.dtype))
        self.listener = inner(self.hearing, "listener", Listener)
        self.listener_octets = octets(self.listener)
        self.listener_numbers = self.listener_octets.view(np.int64)
        """(n,) int64, in the order of their fields; some of their bits are floats."""
        self.source = inner(self.hearing, "source", Source)
        self.source_octets = octets(self.source)
        self.jitter_numbers = octets(inner(self.source, "jitter", Jitter)).view(np.int64)
        """Likewise."""
        self.hard_resyncs = inner(self.source, "playout", Playout)["hard_resyncs"]
        """(1,) int64, a count."""
        self.slope = inner(self.source, "line", Line)["slope"]
        """(1,) float64: of what it knows of the sender's clock."""


class Ways:
    """When the packets of a chunk, and of the minute before it, were sent, departed and arrived."""

    def __init__(self) -> None:
        self.values = np.full((_WAYS, 0), LOST_NS, np.int64)
        """(3, room) int64, ns: when each was sent, departed and arrived; LOST_NS."""
        self.first = 0
        """The number of the first that is remembered."""
        self.known = 0
        """How many are."""
        self._newest = 0
        self._filled = 0

    def forget(self) -> None:
        """Remember nothing: another node has its room."""
        self.first = self.known = self._newest = 0

    @property
    def oldest(self) -> int:
        """How many of those that are remembered `add` forgets."""
        return self.known - self._newest

    def add(
        self, send_ns: NDArray[np.int64], depart_ns: NDArray[np.int64], arrive_ns: NDArray[np.int64]
    ) -> None:
        """Add what was sent in a chunk; forget all before it but the last minute.

        send_ns, depart_ns, arrive_ns  (n,) int64, ns; LOST_NS
        """
        if send_ns.size == 0:
            return
        gone, kept, values = self.oldest, self._newest, self.values
        end = kept + send_ns.size
        if values.shape[1] < end:
            self.values = np.full((_WAYS, end + _SPARE), LOST_NS, np.int64)
            self._filled = 0
        for row, added in enumerate((send_ns, depart_ns, arrive_ns)):
            ways = self.values[row]
            ways[:kept] = values[row, gone : gone + kept]
            ways[kept:end] = added
            ways[end : self._filled] = LOST_NS
        self.first += gone
        self.known = self._filled = end
        self._newest = send_ns.size - int(send_ns.searchsorted(send_ns[-1] - _REMEMBERED_NS))
