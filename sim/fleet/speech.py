"""Who answers one node of tier T3, and what its requests meet on their way."""

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Records, inner, new, octets
from node.peers.credit import ADVANCE_BYTES
from sim.chance.rng import Purpose
from sim.fleet.answering import forget
from sim.fleet.desk import Ways
from sim.fleet.state import QUESTIONS, REQUESTS, Hearing, Station, Talk
from sim.gateway.crystal import Minutes
from sim.sender.repair.repair_budget import RepairBudget
from sim.station.chatter import question_bytes
from sim.station.conversation import RequestWay
from sim.station.programme import Sender
from sim.village.places import Place


class Speech:
    """One node's words with the station.

    Parameters
    ----------
    place : Place
        Of the node.
    sender : Sender
        The station.
    hearing : Records[Hearing]
        The node's records, whatever is in them.
    backhaul_ns : int
        Transit of the backhaul for a request.
    seed : int
        Of the run.
    budget : RepairBudget or None
        What answers to requests for lost packets may cost; None answers none.
    """

    def __init__(
        self,
        place: Place,
        sender: Sender,
        hearing: Records[Hearing],
        *,
        backhaul_ns: int,
        seed: int,
        budget: RepairBudget | None,
    ) -> None:
        self._questions = RequestWay(place, backhaul_ns, Purpose.EXCHANGE, seed)
        self._requests = RequestWay(place, backhaul_ns, Purpose.REPAIR, seed)
        self._talk = inner(hearing, "talk", Talk)
        self._station = inner(hearing, "station", Station)
        self._station[:] = new(Station)
        for name, value in (
            ("again", budget is not None), ("way_ns", self._questions.fastest_ns),
            ("first_sequence", sender.sequence), ("spent_ns", -(1 << 62)), ("earned_ns", -1),
            ("question", QUESTIONS), ("request", REQUESTS),
        ):  # fmt: skip
            self._station[name] = value
        if budget is not None:
            self._station["rate_bit_s"] = budget.rate_bit_s or 0
            self._station["share"] = budget.share_max
            self._station["left_bytes"] = budget.bytes_left
        self.question_bytes = question_bytes(place)
        """Of a question for the time."""
        self.draw()

    @property
    def repair_bytes(self) -> int:
        """Requests for lost packets and what was sent again, with headers of IPv4 and UDP."""
        return int(self._station["repair_bytes"][0])

    @property
    def heard(self) -> tuple[int, int]:
        """How many answers told the time since the node booted, and how many packets came again."""
        return int(self._talk["told"][0]), int(self._talk["again"][0])

    def begin(self) -> None:
        """Let the node boot: it knows nothing, and what is on its way to it finds nobody."""
        for name in ("waiting", "told", "again", "minute", "advance_ns"):
            self._talk[name] = 0
        self._talk["advance_bytes"] = ADVANCE_BYTES

    def forget(self, ways: Ways, sheet: NDArray[np.int64]) -> None:
        """Let go of the packets that are remembered no longer once more are.

        sheet  (3, packets of the sound) int64: of `packet_sheet`
        """
        if self._station["again"][0]:
            forget(self._station, ways.values, sheet, ways.oldest)

    def note_chunk(self, send_ns: NDArray[np.int64], ways: Ways, clock: Records[Minutes]) -> None:
        """Note how packets fare, before the node comes to when they are sent.

        send_ns  (n,) int64, ns: when those that are new were sent
        """
        if send_ns.size and self._station["begun_ns"][0] == 0:
            self._station["begun_ns"] = send_ns[0]
        self._station["first"] = ways.first
        self._station["known"] = ways.known
        octets(inner(self._talk, "clock", Minutes))[:] = octets(clock)

    def draw(self) -> None:
        """Draw what the next requests meet, where the draws for them are used."""
        station = self._station
        if station["question"][0] == QUESTIONS:
            station["questions_ns"] = self._questions.draw_jitter_ns(QUESTIONS)
            station["question"] = 0
        if station["request"][0] == REQUESTS:
            station["requests_ns"] = self._requests.draw_jitter_ns(REQUESTS)
            station["lost"] = self._requests.draw_losses(REQUESTS)
            station["request"] = 0
