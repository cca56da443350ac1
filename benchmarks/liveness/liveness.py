"""`python -m benchmarks liveness`: whatever befalls a stream, a node sounds again within 2 s.

Draws histories (`histories`), plays each to a whole node in virtual time, and looks at the
calm end of it: from 2 s and the playout delay after the last disturbance on, what is received must
sound, and in step. Prints the first histories that leave a node deaf.
"""

import heapq
import time
from dataclasses import dataclass, replace
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.fault import find_all, one_history
from benchmarks.liveness.answers import Answers, Datagram
from benchmarks.liveness.faults import FAULTS
from benchmarks.liveness.histories import SENDERS_KINDS, History, Story, draw_history, story_of
from benchmarks.options import count, parser_of
from node.config import JitterConfig, NodeConfig
from node.counters import Origin
from node.events import SendDatagram
from node.kernel.record import Records, new, together
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S, ns_to_samples, samples_to_ns

AGAIN_NS: Final = 2 * NS_PER_S
_START_NS: Final = 5 * NS_PER_S
_PERIOD: Final = 960
_PERIOD_NS: Final = samples_to_ns(_PERIOD)
_BIN_NS: Final = 10 * NS_PER_MS
_HOLE_MAX_NS: Final = 250 * NS_PER_MS
_IN_STEP_NS: Final = 70 * NS_PER_MS
_SILENT_RATIO_MAX: Final = 0.08


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was heard of the calm end."""

    silent_ratio: float
    hole_ns: int
    """The longest."""
    early_ns: int
    """By which what played was ahead of where it should be, at most; negative: never."""
    late_ns: int

    @property
    def is_deaf(self) -> bool:
        """Whether the node did not sound again."""
        return self.silent_ratio > _SILENT_RATIO_MAX or self.hole_ns > _HOLE_MAX_NS

    @property
    def is_out_of_step(self) -> bool:
        """Whether it sounded later than it should."""
        return self.late_ns > _IN_STEP_NS


def play(history: History) -> Outcome:
    """Play a history to a node; return what was heard of its calm end."""
    story = story_of(history)
    node = _node_for(history)
    heard = _drive(node, history, story)
    sources = cast(list[dict[str, float]], node.status()["sources"])
    ssrc = story.sent[-1].ssrc  # what it chose for one that has ended says nothing of this one
    own_ms = max((one["playout_delay_ms"] for one in sources if one["ssrc"] == ssrc), default=0.0)
    return judge(history, story, heard, round(own_ms) * NS_PER_MS)


def in_step_ns(history: History, *, further_ms: int) -> int:
    """Return by how much two nodes differ at the calm end, one of them `further_ms` further away.

    Only what the sender does befalls them.
    """
    kept = tuple(one for one in history.disturbances if one.kind in SENDERS_KINDS)
    history = replace(history, disturbances=kept)
    story = story_of(history)
    begin_ns = _START_NS + story.calm_ns + history.delay_ms * NS_PER_MS + AGAIN_NS
    heard = []
    for further_ns in (0, further_ms * NS_PER_MS):
        arrivals = tuple(one._replace(at_ns=one.at_ns + further_ns) for one in story.arrivals)
        late = replace(story, arrivals=arrivals, end_ns=story.end_ns + further_ns)
        rows = _drive(_node_for(history), history, late)
        heard.append(
            {int(row["arrival_ns"]) - further_ns: int(row["presentation_ns"]) for row in rows}
        )
    both = heard[0].keys() & heard[1].keys()
    apart = [abs(heard[0][one] - heard[1][one]) for one in both if heard[0][one] >= begin_ns]
    return max(apart, default=1 << 60)


def _node_for(history: History) -> SpeakerNode:
    mode = cast(Literal["synchronised", "adaptive"], history.mode)
    jitter = JitterConfig(mode=mode, playout_delay_ms=history.delay_ms)
    return SpeakerNode(NodeConfig(name="n", jitter=jitter), decoder_factory=None)


def _drive(node: SpeakerNode, history: History, story: Story) -> Records[Played]:
    """Return the journal rows of what was played of received packets."""
    out = np.zeros((_PERIOD, 1), np.float32)
    rows = new(Played, 4096)
    heard = []
    arrivals = story.arrivals
    answers = Answers(history, story) if history.answers else None
    under_way: list[Datagram] = []
    took = 0
    periods = (story.end_ns + 10 * NS_PER_S) // _PERIOD_NS
    for period in range(periods):
        now_ns = period * _PERIOD_NS
        if now_ns > story.end_ns:
            break
        while took < len(arrivals) and arrivals[took].at_ns <= now_ns:
            one = arrivals[took]
            node.receive_datagram(one.data, one.source, _START_NS + one.at_ns)
            took += 1
        while under_way and under_way[0][0] <= now_ns:
            at_ns, data, source = heapq.heappop(under_way)
            node.receive_datagram(data, source, _START_NS + at_ns)
        due_ns = node.next_deadline_ns()
        if due_ns is not None and due_ns <= _START_NS + now_ns:
            node.handle_deadline(_START_NS + now_ns)
            while (event := node.next_event()) is not None:
                if answers is not None and isinstance(event, SendDatagram):
                    for answer in answers.ask(event.data, now_ns):
                        heapq.heappush(under_way, answer)
        node.render(out, _START_NS + now_ns)
        if period % 25 == 0:
            heard.append(rows[: node.take_journal(rows)].copy())
    heard.append(rows[: node.take_journal(rows)].copy())
    played = together(heard, Played)
    if history.mode == "adaptive":
        _draw_out(played)
    is_received: NDArray[np.bool_] = played["origin"] == Origin.RECEIVED
    return together([played[is_received]], Played)


def _draw_out(played: Records[Played]) -> None:
    """Let a packet that was played slower last until the next one, which follows in the stream.

    The journal says how much sound a packet holds; where the next one is overdue, a node that plays
    by itself plays it at down to half speed. That is sound and no hole. Sound that was made up
    stands between two in the journal, and what a pause lies between does not follow in the stream.
    """
    last_ns = samples_to_ns(played["samples"][:-1])
    apart_ns = np.diff(played["presentation_ns"])
    is_next = played["media"][:-1] + played["samples"][:-1] == played["media"][1:]
    is_next &= played["ssrc"][:-1] == played["ssrc"][1:]
    slower = np.flatnonzero(is_next & (apart_ns > last_ns) & (apart_ns <= 2 * last_ns))
    played["samples"][slower] = ns_to_samples(apart_ns[slower])


def judge(history: History, story: Story, heard: Records[Played], own_ns: int) -> Outcome:
    """Return what was heard from `AGAIN_NS` and the playout delay after the last disturbance on.

    A node that plays by itself has the delay `own_ns`, which it chose after what befell it.
    """
    delay_ns = history.delay_ms * NS_PER_MS if history.mode == "synchronised" else own_ns
    begin_ns = _START_NS + story.calm_ns + delay_ns + AGAIN_NS
    end_ns = _START_NS + story.end_ns - 400 * NS_PER_MS
    bins = max(0, (end_ns - begin_ns) // _BIN_NS)
    if bins < 20:
        raise ValueError(f"the calm end of {history} is too short")
    sounds = np.zeros(bins + 1, np.int64)
    sent = {_START_NS + one.at_ns: one.sent_ns for one in story.arrivals if one.sent_ns >= 0}
    early_ns = late_ns = -(1 << 60)
    for row in heard:
        plays_ns = int(row["presentation_ns"])
        first = max(0, (plays_ns - begin_ns) // _BIN_NS)
        last = -(-(plays_ns + samples_to_ns(int(row["samples"])) - begin_ns) // _BIN_NS)
        if last <= 0 or first >= bins:
            continue
        sounds[first:last] = 1
        sent_ns = sent.get(int(row["arrival_ns"]))
        if sent_ns is not None and int(row["presentation_ns"]) >= begin_ns:
            late = int(row["presentation_ns"]) - _START_NS - sent_ns - story.path_ns - delay_ns
            late_ns = max(late_ns, late - history.jitter_ms * NS_PER_MS)
            early_ns = max(early_ns, story.path_min_ns - story.path_ns - late)
    sounds = sounds[:bins]
    edges = np.flatnonzero(np.diff(np.concatenate([[1], sounds, [1]])))
    holes = edges[1::2] - edges[::2]
    hole_ns = int(holes.max()) * _BIN_NS if holes.size else 0
    if history.mode == "adaptive":
        early_ns = late_ns = 0
    return Outcome(1 - float(sounds.mean()), hole_ns, early_ns, late_ns)


def run(arguments: list[str]) -> int:
    """Play drawn histories; exit status 1 when one leaves a node deaf."""
    parser = parser_of("liveness", __doc__)
    parser.add_argument("--histories", type=count, default=1000, help="how many (1000)")
    parser.add_argument("--seed", type=int, default=1, help="of all of them (1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (0)")
    parser.add_argument("--show", type=count, default=5, help="of those that fail (5)")
    parser.add_argument("--first-failed", action="store_true", help="stop at the first that fails")
    parser.add_argument(
        "--faults", action="store_true", help="plant known faults instead; 1 if one is not found"
    )
    parser.add_argument("--only", action="append", metavar="NAME", default=[], help="this fault")
    asked = parser.parse_args(arguments)
    if asked.only and not asked.faults:
        parser.error("--only names a fault: it needs --faults")
    if asked.faults:
        command = ["liveness", "--first-failed"]
        histories, seed, only = asked.histories, asked.seed, asked.only
        return find_all(FAULTS, command, histories=histories, seed=seed, only=only)
    begun = time.perf_counter()
    kinds: dict[str, int] = {}
    failed = 0
    for number in range(asked.first, asked.first + asked.histories):
        history = draw_history(np.random.default_rng([asked.seed, number]))
        with one_history(number, seed=asked.seed):
            outcome = play(history)
        if not (outcome.is_deaf or outcome.is_out_of_step):
            continue
        failed += 1
        for kind in {one.kind for one in history.disturbances}:
            kinds[kind] = kinds.get(kind, 0) + 1
        if failed <= asked.show:
            print(f"{number}: {outcome}\n  {history}")
        if asked.first_failed:
            break
    spent = time.perf_counter() - begun
    print(f"{number + 1 - asked.first} histories, {failed} failed, {spent:.1f} s", kinds)
    return 1 if failed else 0
