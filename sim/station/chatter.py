"""What passes a shared rate beside the stream and its repair: questions for the time, and MQTT.

Nodes ask as the exchange of the node does: a burst, more on a link that jitters, then one a second.
What that is on an idle link is told here for all who share a rate; where one is scarce,
`sim.drive.crossing` asks as the queue lets them. Each word to the broker is a ping and its answer.
A question and what answers it are one packet of both sizes: one rate has to carry both ways.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.asked import INTERVAL_NS, Asking, ask, begin, hear
from node.kernel import kernel
from node.kernel.record import Records, new
from node.rtp import rtcp
from node.shell.config import MqttConfig
from node.units import NS_PER_S
from sim.chance.rng import Purpose, one_between, raw_draws, stream
from sim.gateway.power import Uptime, uptimes
from sim.links.channel import drawn_of
from sim.result.capacity import IDLE_MONTH_MB
from sim.sender.time_answers import ANSWER_BYTES
from sim.station.conversation import HELD_NS
from sim.station.programme import UDP_BYTES
from sim.village.faults import Span
from sim.village.places import Place

QUESTION_BYTES: Final = 32 + 20 + 28 + 20
"""Report, time, delay and losses; the name comes on top."""

BEAT_NS: Final = MqttConfig().keepalive_s * NS_PER_S
"""From a node's word to the broker to the next."""

BEAT_BITS: Final = round(8e6 * IDLE_MONTH_MB / (30 * 86_400) * MqttConfig().keepalive_s)
"""Of one with its answer, and all headers: what an idle node was measured to cost."""

_DRAWS: Final = 2000
_MORE: Final = 1100
"""Questions of the first minutes; after them there is one a second."""


@kernel("int64(Asking[::1], int64, int64, int64, int64[::1])")
def ask_idle(
    askings: Records[Asking],
    round_ns: int,
    spread_ns: int,
    end_ns: int,
    asked_ns: NDArray[np.int64],
) -> int:
    """Ask as a node does to whom every question is answered; return how often.

    askings    (1,), whatever is in it
    round_ns   from a question to its answer
    spread_ns  how far the median of such times lies above the least
    asked_ns   (n,) int64, ns after the first question, filled
    """
    asking = askings[0]
    begin(asking, 0)
    count = heard = 0
    while asking.next_ns < end_ns and count < asked_ns.shape[0]:
        while heard < count and asked_ns[heard] + round_ns <= asking.next_ns:
            heard += 1
            hear(asking, count - heard, round_ns, asked_ns[heard - 1] + round_ns)
        now_ns = asking.next_ns
        asking.unanswered = count - heard
        asking.replies[0].count = heard
        asking.replies[0].spread_ns = spread_ns
        ask(asking, now_ns)
        asked_ns[count] = now_ns
        count += 1
    return count


@lru_cache(maxsize=64)
def _asked_ns(one_way_ns: int, shape: str, scale_us: int, end_ns: int) -> tuple[int, ...]:
    """Return when one asks who has an idle link of a kind: ns after the first question."""
    spread_ns, middle_ns = _spread_ns(shape, scale_us)
    asked_ns = np.zeros(_MORE + end_ns // INTERVAL_NS, np.int64)
    round_ns = 2 * one_way_ns + HELD_NS + middle_ns
    count = ask_idle(new(Asking), round_ns, spread_ns, end_ns, asked_ns)
    return tuple(asked_ns[:count].tolist())


@lru_cache(maxsize=64)
def _spread_ns(shape: str, scale_us: int) -> tuple[int, int]:
    """Return how far the median of what both ways add lies above the least, and itself; ns."""
    if not scale_us:
        return 0, 0
    raw = raw_draws(stream(0, Purpose.CHATTER), _DRAWS)
    both_ns = np.sort(drawn_of(shape, scale_us, raw).reshape(-1, 2).sum(axis=1))
    middle_ns = int(both_ns[both_ns.size // 2])
    return middle_ns - int(both_ns[0]), middle_ns


class Chatter:
    """What the nodes of a village say beside the stream, known before.

    Parameters
    ----------
    backhauls_ns : mapping
        Transit of the backhaul of each commune.
    seed : int
        Of the run.
    first_ns, end_ns : int
        When the station sends its first packet, and stops.
    reports : bool
        It answers questions for the time.
    """

    def __init__(
        self,
        backhauls_ns: Mapping[str, int],
        *,
        seed: int,
        first_ns: int,
        end_ns: int,
        reports: bool,
    ) -> None:
        self._end_ns = end_ns
        self._first_ns = first_ns
        self._backhaul_ns = dict(backhauls_ns)
        self._seed = seed
        self._reports = reports
        self._asked: dict[tuple[int, int], tuple[int, ...]] = {}
        self._counts: dict[tuple[int, int, tuple[Span, ...], int], int] = {}
        self._kbit_s: dict[str, float] = {}

    def way_ns(self, place: Place) -> int:
        """Return what the way between a place and the station takes when nothing is on it."""
        return self._backhaul_ns[place.commune] + place.way_up_ns

    def kbit_s(self, place: Place) -> float:
        """Return what a node says and is told, on average over the run."""
        if self._end_ns <= 0:
            return 0.0
        if place.node not in self._kbit_s:
            self._kbit_s[place.node] = self._said_bits(place) * 1e6 / self._end_ns
        return self._kbit_s[place.node]

    def _said_bits(self, place: Place) -> float:
        boot_ns = round(place.profile.board.boot_s.value * NS_PER_S)
        at = (*self._kind(place), place.power_cuts_ns, boot_ns)
        if at not in self._counts:
            spans = [self._span(place, up) for up in self.uptimes(place)]
            self._counts[at] = sum(self._count(place, end - start) for start, end in spans)
        return self._counts[at] * question_bits(place) + BEAT_BITS * self._end_ns / BEAT_NS

    def uptimes(self, place: Place) -> list[Uptime]:
        """Return when a node runs."""
        boot_ns = round(place.profile.board.boot_s.value * NS_PER_S)
        return uptimes(place.power_cuts_ns, boot_ns=boot_ns, end_ns=max(self._end_ns, 1))

    def words(self, places: Sequence[Place], start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """Return what is said to the broker from and to a time, in order.

        The result is (n, 3) int64: ns, the place's index, bits.
        """
        found = [np.zeros((0, 3), np.int64)]
        for number, place in enumerate(places):
            at_ns = self._beats_ns(place, self.uptimes(place), start_ns, end_ns)
            rows = np.empty((at_ns.size, 3), np.int64)
            rows[:, 0], rows[:, 1:] = at_ns, (number, BEAT_BITS)
            found.append(rows)
        rows = np.concatenate(found)
        return rows[np.argsort(rows[:, 0], kind="stable")]

    def spread_ns(self, place: Place) -> int:
        """Return how far the median of the times of questions lies above the least, idle."""
        return _spread_ns(*self._jitter(place))[0]

    def _span(self, place: Place, up: Uptime) -> tuple[int, int]:
        """Return from when to when a node asks that runs so long."""
        return max(self._first_ns, up.start_ns) + self.way_ns(place), up.end_ns

    def _count(self, place: Place, for_ns: int) -> int:
        if not self._reports or for_ns <= 0:
            return 0
        return bisect_left(self._asked_ns(place), for_ns)

    def _beats_ns(
        self, place: Place, ups: Sequence[Uptime], start_ns: int, end_ns: int
    ) -> NDArray[np.int64]:
        """Return when a node has a word with the broker: (n,) int64, ns."""
        bits = stream(self._seed, Purpose.CHATTER, commune=place.commune, node=place.node)
        phase_ns = one_between(bits, 0, BEAT_NS - 1)
        first = max(0, -(-(start_ns - phase_ns) // BEAT_NS))
        at_ns = np.arange(phase_ns + first * BEAT_NS, end_ns, BEAT_NS, dtype=np.int64)
        runs = np.zeros(at_ns.size, np.bool_)
        for up in ups:
            runs |= (at_ns >= up.start_ns) & (at_ns < up.end_ns)
        return at_ns[runs]

    def _asked_ns(self, place: Place) -> tuple[int, ...]:
        """Return when a node asks: ns after its first question, in order."""
        kind = self._kind(place)
        if kind not in self._asked:
            jitter = self._jitter(place)
            self._asked[kind] = _asked_ns(self.way_ns(place), *jitter, self._end_ns)
        return self._asked[kind]

    def _jitter(self, place: Place) -> tuple[str, int]:
        """Return what a last link adds: a shape and its scale in us."""
        if place.rated is None:
            return "none", 0
        return place.rated.jitter_shape, round(place.rated.jitter_scale_ms.value * 1000)

    def _kind(self, place: Place) -> tuple[int, int]:
        """Return what those have in common who ask at the same times."""
        link = place.trace_ns if place.rated is None else place.rated
        return id(link), self._backhaul_ns[place.commune]


def question_bits(place: Place) -> int:
    """Return the size of a node's question for the time with its answer, and all headers."""
    return 8 * (question_bytes(place) + ANSWER_BYTES + 2 * UDP_BYTES)


def question_bytes(place: Place) -> int:
    """Return the size of a node's question for the time, without headers."""
    return QUESTION_BYTES + _name_bytes(len(place.node.encode()))


@lru_cache(maxsize=256)
def _name_bytes(length: int) -> int:
    """Return the size of what tells a name of so many bytes."""
    return len(rtcp.written(rtcp.SourceDescription(0, b"n" * length)))
