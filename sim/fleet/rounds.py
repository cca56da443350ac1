"""The rounds of tier T3: those of T2, over nodes that are kernels.

Networks, clocks, CPUs and books are the same code on the same streams of chance, so that what T2
and T3 say of a node differs in nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.drive.outgoing import Outgoing
from sim.drive.pole import Pole
from sim.drive.rounds import Rounds
from sim.fleet.pole import FleetPole, packet_sheet
from sim.station.programme import UDP_BYTES, Programme, Sending
from sim.village.places import Place, Village
from sim.village.scenario import Scenario

_RTP_BYTES = 12


class FleetRounds(Rounds):
    """A run under way; see `Rounds`.

    sheet  (3, packets of the sound) int64, of `packet_sheet`, where it has been made: bits, bytes
    """

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        programme: Programme,
        *,
        places: Sequence[Place] | None = None,
        sheet: NDArray[np.int64] | None = None,
    ) -> None:
        self._sheet = packet_sheet(programme) if sheet is None else sheet
        self._listeners: list[FleetPole] = []
        super().__init__(scenario, village, programme, decoder=None, places=places)

    @property
    def is_beyond(self) -> bool:
        """Whether some node's network does what only T2 can follow."""
        return any(one.is_beyond for one in self._listeners)

    def counts(self, number: int) -> NDArray[np.int64]:
        """Return what one place counted, over all its boots: (COUNTS,) int64."""
        return self._listeners[number].counts()

    def skew_ppm(self, number: int) -> float | None:
        """Return the sender's skew as the node estimates it, or None when it never heard it."""
        return self._listeners[number].source_skew_ppm()

    def _new_outgoing(self, village: Village, programme: Programme) -> Outgoing:
        return _Counted(self.scenario, village, programme, self.places, sheet=self._sheet)

    def _pole(self, place: Place) -> Pole:
        pole = FleetPole(
            place,
            self.scenario,
            self._outgoing.channel(place),
            end_ns=self.end_ns,
            sender=self.sender,
            sheet=self._sheet,
        )
        self._listeners.append(pole)
        return pole


class _Counted(Outgoing):
    """The station's stream without its packets: their times, and their bytes by the sheet."""

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        programme: Programme,
        places: Sequence[Place],
        *,
        sheet: NDArray[np.int64],
    ) -> None:
        super().__init__(scenario, village, programme, places)
        self._sheet = sheet

    def _sending(self, end_ns: int) -> Sending:
        first, send_ns = self.sender.times_until(end_ns)
        numbers = np.arange(first, first + send_ns.size) % self._sheet.shape[1]
        headers_bytes = (_RTP_BYTES + UDP_BYTES) * send_ns.size
        self.stream_bytes += int(self._sheet[1, numbers].sum()) + headers_bytes
        return Sending(first, [], send_ns)
