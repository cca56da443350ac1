"""How many questions may be under way: a hamlet that begins together shares one way to its sender.

Forty nodes that ask every 6 ms, and hear nothing for as long as their own questions queue, fill a
backhaul for seconds. So a node has a few under way, and more with each answer that came as soon as
others did (as TCP begins, RFC 5681, section 3.1); an answer that waited means one fewer. Alone on
its way it asks as often as it wants to after its first round trip.
"""

from typing import Final

from node.kernel import inner_kernel
from node.kernel.record import Record, whole
from node.units import NS_PER_MS

BEGIN_QUESTIONS: Final = 12
"""Three times as many as an estimate needs: weak 4G answers the first when so many are sent."""
LEAST_QUESTIONS: Final = 2
MOST_QUESTIONS: Final = 64
QUEUED_NS: Final = 150 * NS_PER_MS
"""An answer that took so much longer than the fastest one has waited: twice what the median of
answers through weak 4G does that meet no queue."""
HELD_NS: Final = 100 * NS_PER_MS
HELD_DOUBLED: Final = 6
"""Who may have no more under way asks so long after the last one all the same, for what is under
way may be lost; and waits twice as long each time, so often."""


class Pace(Record):
    """How many questions are under way, and how many may be; all zeros where none was asked."""

    under_way: int = whole("", "Questions since the newest that was answered.")
    more: int = whole("", "How many more may be than at first; below 0: fewer.")
    least_ns: int = whole("ns", "What the fastest answer took; 0: none came.")
    wanted_ns: int = whole("ns", "When the next question would be due, were there room for it.")
    held_ns: int = whole("ns", "When it is, for want of room; 0: there was some.")


@inner_kernel("void(Pace, Pace)")
def copy(one: Pace, other: Pace) -> None:
    """Let `one` be as the other is."""
    one.under_way, one.more, one.least_ns = other.under_way, other.more, other.least_ns
    one.wanted_ns, one.held_ns = other.wanted_ns, other.held_ns


@inner_kernel("void(Pace)")
def begin(pace: Pace) -> None:
    """Have nothing under way, and know nothing of it."""
    pace.under_way = pace.more = 0
    pace.least_ns = pace.wanted_ns = pace.held_ns = 0


@inner_kernel("int64(Pace, int64, int64)")
def ask(pace: Pace, now_ns: int, interval_ns: int) -> int:
    """Note a question; return when the next is due, at the soonest `interval_ns` later."""
    pace.under_way += 1
    pace.held_ns = 0
    pace.wanted_ns = now_ns + interval_ns
    beyond = pace.under_way - BEGIN_QUESTIONS - pace.more
    if beyond < 0 or interval_ns >= HELD_NS:
        return int(pace.wanted_ns)
    pace.held_ns = now_ns + (HELD_NS << min(beyond, HELD_DOUBLED))
    return int(pace.held_ns)


@inner_kernel("int64(Pace, int64, int64, int64, int64)")
def hear(pace: Pace, later: int, took_ns: int, next_ns: int, now_ns: int) -> int:
    """Take an answer; return when the next question is due.

    later    how many questions were asked after that one
    took_ns  from it to its answer
    next_ns  when the next one is due without this answer
    """
    pace.under_way = min(pace.under_way, later)
    pace.least_ns = took_ns if pace.least_ns == 0 else min(pace.least_ns, took_ns)
    more = -1 if took_ns - pace.least_ns > QUEUED_NS else 1
    least, most = LEAST_QUESTIONS - BEGIN_QUESTIONS, MOST_QUESTIONS - BEGIN_QUESTIONS
    pace.more = min(max(pace.more + more, least), most)
    if next_ns != pace.held_ns or pace.under_way >= BEGIN_QUESTIONS + pace.more:
        return next_ns
    pace.held_ns = 0
    return int(min(next_ns, max(pace.wanted_ns, now_ns)))
