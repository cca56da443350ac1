"""How soon two nodes behind jitter are in step, over many seeded starts: one real run says little.

    python -m benchmarks first_seconds [--starts 100] [--seed 1] [--lead 8 0] [--crystals 0 50]

Two whole nodes (they count, and decode nothing), a sender with `loalang-send`'s own numbering,
reports and answers, and between them the delay, jitter and loss of `real_sync`'s case `jitter`, in
virtual time. One event in fifty leaves up to some milliseconds after its stamp, as on a machine
with other work. Judged is what leaves the converters, by the nodes' journals.
"""

import heapq
import json
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import parser_of
from benchmarks.rig.impairment import Impairment, Path
from node.config import NodeConfig
from node.counters import Origin
from node.events import SendDatagram
from node.kernel.record import new
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S, samples_to_ns
from sim.sender.loop import LEAD_REPORT_NS
from sim.sender.report_times import REPORT_NS
from sim.sender.stream import LiveSender
from sim.sender.time_answers import SenderReports

DELAYED: Final = Impairment(delay_ms=40, jitter_ms=20, loss_pct=2)
SECONDS: Final = 48
SETTLED_S: Final = 2.0
"""Judged from there on, as in `real_sync`."""
P95_MS: Final = 0.3
FIRST_MS: Final = 2.0

_BUSY: Final = 0.02
_BUSY_NS: Final = 1e6
_PERIOD_NS: Final = 10 * NS_PER_MS
_PERIOD_SAMPLES: Final = 480
_PACKET_SAMPLES: Final = 960
_SENDER: Final = ("192.0.2.1", 5004)
_PAYLOAD: Final = b"\x78" + bytes(40)  # one CELT frame of 20 ms


def run(arguments: list[str]) -> int:
    """Print one line for each lead and crystal; the bounds are `real_sync`'s."""
    parser = parser_of("first_seconds", __doc__)
    add = parser.add_argument
    add("--starts", type=int, default=100, help="how many (default 100)")
    add("--seed", type=int, default=1, help="of the first one (default 1); the others follow")
    add("--lead", type=float, nargs="+", default=[8.0, 0.0], help="s that nodes are told ahead")
    add("--crystals", type=float, nargs="+", default=[0.0, 50.0], help="+-ppm, drawn evenly")
    options = parser.parse_args(arguments)
    for crystals_ppm in options.crystals:
        for lead_s in options.lead:
            starts = [
                start(seed, lead_s=lead_s, crystals_ppm=crystals_ppm)
                for seed in range(options.seed, options.seed + options.starts)
            ]
            told = {"crystals_ppm": crystals_ppm, "lead_s": lead_s, **row(starts)}
            print(json.dumps(told), flush=True)
    return 0


def row(starts: "list[Errors]") -> dict[str, Any]:
    """Return what is told of many starts."""
    p95_ms = np.array([np.quantile(np.abs(one.ms[one.s >= SETTLED_S]), 0.95) for one in starts])
    first_ms = np.array([abs(one.ms[0]) for one in starts])
    return {
        "starts": len(starts),
        f"p95_within_{P95_MS}_ms": round(float(np.mean(p95_ms <= P95_MS)), 3),
        "p95_median_ms": round(float(np.median(p95_ms)), 3),
        "p95_worst_ms": round(float(p95_ms.max()), 3),
        f"first_within_{FIRST_MS}_ms": round(float(np.mean(first_ms <= FIRST_MS)), 3),
        "first_worst_ms": round(float(first_ms.max()), 3),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """One start: seconds since the first sound, and how far apart both nodes played then."""

    s: NDArray[np.float64]
    ms: NDArray[np.float64]


def start(
    seed: int,
    *,
    lead_s: float,
    crystals_ppm: float = 0.0,
    seconds: int = SECONDS,
    impairment: Impairment = DELAYED,
) -> Errors:
    """Return how far two nodes are apart that hear a sender begin.

    Parameters
    ----------
    seed : int
        Of everything drawn.
    lead_s : float
        The sender tells of itself so long before its first packet; 0 does not.
    crystals_ppm : float
        The nodes' clocks are wrong by at most so much.
    seconds : int
        Of sound.
    impairment : Impairment
        Of each of the four ways.
    """
    rng = np.random.default_rng(seed)
    poles = [
        _Pole(index, float(rng.uniform(-crystals_ppm, crystals_ppm)), impairment, rng)
        for index in range(2)
    ]
    _Start(poles, rng, lead_ns=round(lead_s * NS_PER_S), end_ns=seconds * NS_PER_S).run()
    one, other = (pole.presented_ns for pole in poles)
    media = sorted(one.keys() & other.keys())
    apart_ms = np.array([one[m] - other[m] for m in media]) / NS_PER_MS
    since_s = np.array([samples_to_ns(m - media[0]) for m in media]) / NS_PER_S
    return Errors(since_s, apart_ms)


class _Pole:
    """A node, its clock and both its ways."""

    def __init__(
        self, index: int, ppm: float, impairment: Impairment, rng: np.random.Generator
    ) -> None:
        self.node = SpeakerNode(NodeConfig(name=f"pole-{index}"), decoder_factory=None)
        self.address = (f"192.0.2.{11 + index}", 5004)
        self.up, self.down = (Path(impairment, one) for one in rng.spawn(2))
        self.reports = True
        self.armed_ns = -1
        self.presented_ns: dict[int, int] = {}
        self._ahead_ns = int(rng.integers(1, 1000)) * NS_PER_S
        self._rate = 1.0 + ppm * 1e-6
        self._rows = new(Played, 4096)

    def local_ns(self, true_ns: int) -> int:
        return self._ahead_ns + round(true_ns * self._rate)

    def true_ns(self, local_ns: int) -> int:
        return round((local_ns - self._ahead_ns) / self._rate)

    def note(self) -> None:
        """Take the journal: the true instant at which each received packet begins to sound."""
        for row in self._rows[: self.node.take_journal(self._rows)]:
            if row["origin"] == Origin.RECEIVED and row["media"] % _PACKET_SAMPLES == 0:
                true_ns = self.true_ns(int(row["presentation_ns"]))
                self.presented_ns.setdefault(int(row["media"]), true_ns)


@dataclass
class _Start:
    """The events of one start, in true time; the sender's clock is the true one."""

    poles: list[_Pole]
    rng: np.random.Generator
    lead_ns: int
    end_ns: int
    events: list[tuple[int, int, str, int, Any]] = field(default_factory=list)

    def run(self) -> None:
        begin_ns = NS_PER_S
        self.sender = LiveSender(ssrc=7, payload_type=96, packet_samples=_PACKET_SAMPLES)
        self.answers = SenderReports(7)
        self.end_ns += begin_ns + self.lead_ns
        if self.lead_ns > 0:
            self.sender.begin(begin_ns, self.lead_ns)
            self._at(begin_ns, "report", 0)
        self._at(begin_ns + self.lead_ns, "packet", 0)
        for index in range(len(self.poles)):
            self._at(begin_ns + index * NS_PER_MS, "period", index)
        self.out = np.zeros((_PERIOD_SAMPLES, 1), np.float32)
        while self.events:
            now_ns, _, what, index, data = heapq.heappop(self.events)
            if now_ns > self.end_ns:
                return
            getattr(self, f"_{what}")(now_ns, index, data)

    def _at(self, at_ns: int, what: str, index: int, data: Any = None) -> None:
        self._number = getattr(self, "_number", 0) + 1
        heapq.heappush(self.events, (at_ns, self._number, what, index, data))

    def _late_ns(self) -> int:
        """Return how long after its stamp something leaves a machine with other work."""
        busy = self.rng.random() < _BUSY
        return int(self.rng.exponential(_BUSY_NS if busy else _BUSY_NS / 20))

    def _send_down(self, data: bytes, left_ns: int, index: int) -> None:
        arrival_ns = self.poles[index].down.arrival_ns(left_ns)
        if arrival_ns is not None:
            self._at(arrival_ns, "datagram", index, data)

    def _packet(self, now_ns: int, _: int, __: Any) -> None:
        self.sender.due_ns(now_ns)
        data = self.sender.next_packet(_PAYLOAD, now_ns)
        left_ns = now_ns + self._late_ns()
        for index in range(len(self.poles)):
            self._send_down(data, left_ns, index)
        if self.sender.packets == 1:
            self._at(left_ns, "report", 0)
        self._at(now_ns + samples_to_ns(_PACKET_SAMPLES), "packet", 0)

    def _report(self, now_ns: int, _: int, __: Any) -> None:
        data = self.sender.compound(now_ns)
        for index in range(len(self.poles)):
            self._send_down(data, now_ns, index)
        if self.sender.packets == 0:
            if now_ns + LEAD_REPORT_NS < NS_PER_S + self.lead_ns:
                self._at(now_ns + LEAD_REPORT_NS, "report", 0)
        else:
            self._at(now_ns + REPORT_NS, "report", 0)

    def _request(self, now_ns: int, index: int, data: bytes) -> None:
        self.answers.receive_datagram(data, self.poles[index].address, now_ns)
        answered_ns = now_ns + self._late_ns()
        answer = self.answers.next_answer(self.sender.report(answered_ns), answered_ns)
        if answer is not None:
            self._send_down(answer[0], answered_ns + self._late_ns(), index)

    def _datagram(self, now_ns: int, index: int, data: bytes) -> None:
        pole = self.poles[index]
        pole.node.receive_datagram(data, _SENDER, pole.local_ns(now_ns), is_authentic=True)
        self._arm(now_ns, index)

    def _deadline(self, now_ns: int, index: int, _: Any) -> None:
        pole = self.poles[index]
        pole.armed_ns = -1
        pole.node.handle_deadline(pole.local_ns(now_ns))
        while (event := pole.node.next_event()) is not None:
            if isinstance(event, SendDatagram):
                arrival_ns = pole.up.arrival_ns(now_ns + self._late_ns())
                if arrival_ns is not None:
                    self._at(arrival_ns, "request", index, event.data)
        self._arm(now_ns, index)

    def _arm(self, now_ns: int, index: int) -> None:
        pole = self.poles[index]
        due_ns = pole.node.next_deadline_ns()
        if due_ns is None:
            return
        at_ns = max(pole.true_ns(due_ns) + 1, now_ns + 1)
        if pole.armed_ns < 0 or at_ns < pole.armed_ns:
            pole.armed_ns = at_ns
            self._at(at_ns, "deadline", index)

    def _period(self, now_ns: int, index: int, _: Any) -> None:
        pole = self.poles[index]
        pole.node.render(self.out, pole.local_ns(now_ns))
        pole.note()
        self._arm(now_ns, index)
        self._at(now_ns + _PERIOD_NS, "period", index)
