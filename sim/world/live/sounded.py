"""When a live programme left the horn, of what became of it frame by frame.

Who has the horn is not who is heard: a source keeps it for a while when nothing of it comes.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import Origin
from node.units import NS_PER_MS, NS_PER_S, samples_to_ns
from sim.day.diary import Diary
from sim.drive.site import Chunk

_NEVER_NS: Final = 1 << 62
_TOUCH_NS: Final = NS_PER_MS
"""Rows of a journal that are no more than that apart touch: less than a step of 2.5 ms."""

Spans = NDArray[np.int64]
"""(n, 2) int64: from when to when, ns, ascending, apart from each other."""

NOTHING: Final = np.zeros((0, 2), np.int64)


def sounded(chunk: Chunk, *, period_ns: int) -> Spans:
    """Return when the stream left the horn in a while: (n, 2) int64, true ns from its begin on.

    What was made up sounds too, silence does not, and a period that was not there in time is
    silence whatever the node made of it.
    """
    rows = chunk.journal[chunk.journal["origin"] <= Origin.FADED]
    begins = rows["presentation_ns"]
    sound = _together(begins, begins + samples_to_ns(rows["samples"]))
    late = chunk.plan.play_ns[chunk.silent]
    return _without(sound, _together(late, late + period_ns))


def joined(parts: Sequence[Spans]) -> Spans:
    """Return spans that follow each other as one list, those that touch as one.

    parts  each (n, 2) int64, ns

    The result is (n, 2) int64, ns.
    """
    whole = np.concatenate([NOTHING, *parts])
    return _together(whole[:, 0], whole[:, 1])


def streams(diary: Diary, sound: Spans, lead_ns: int) -> list[tuple[int, float, float]]:
    """Return each live stream that left the horn, and from when to when, s of the world.

    It had the horn then, was not silenced, and of `sound` there was some. So long after the card
    asks for sound it leaves the horn: `lead_ns`.

    sound  (n, 2) int64, ns of the world
    """
    ends_ns = _ends_ns(diary.streams)
    silent_ns = [(at_ns + lead_ns, is_silent) for at_ns, is_silent in diary.silenced]
    until_ns = _ends_ns(silent_ns)
    quiet = [(a, b) for (a, is_silent), b in zip(silent_ns, until_ns, strict=True) if is_silent]
    found = []
    for (begin_ns, source), end_ns in zip(diary.streams, ends_ns, strict=True):
        if source is None or begin_ns >= end_ns:
            continue
        heard = _without(sound, _spans([(0, begin_ns), *quiet, (end_ns, _NEVER_NS)]))
        found += [(source, a / NS_PER_S, b / NS_PER_S) for a, b in heard.tolist()]
    return found


def _ends_ns(changes: Sequence[tuple[int, object]]) -> list[int]:
    """Return when each of the changes is over: at the next."""
    return [*(at_ns for at_ns, _ in changes[1:]), *[_NEVER_NS] * bool(changes)]


def _spans(pairs: list[tuple[int, int]]) -> Spans:
    return _together(*np.array(sorted(pairs), np.int64).T)


def _together(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Spans:
    """Return spans, those that touch as one.

    begins, ends  (n,) int64, ns, begins ascending
    """
    if not begins.size:
        return NOTHING
    ends = np.maximum.accumulate(ends)
    first = np.append(True, begins[1:] > ends[:-1] + _TOUCH_NS)
    last = np.append(first[1:], True)
    return np.stack([begins[first], ends[last]], axis=1)


def _without(some: Spans, others: Spans) -> Spans:
    """Return when some are and the others are not."""
    if not some.size or not others.size:
        return some
    edges = np.unique(np.concatenate([some.ravel(), others.ravel()]))
    parts = np.stack([edges[:-1], edges[1:]], axis=1)
    middle = (parts[:, 0] + parts[:, 1]) // 2
    is_left = _inside(some, middle) & ~_inside(others, middle)
    return _together(*parts[is_left].T)


def _inside(spans: Spans, at_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return of instants whether they are in one of the spans: (n,) bool of (n,) int64, ns."""
    before = np.searchsorted(spans[:, 0], at_ns, side="right") - 1
    inside: NDArray[np.bool_] = (before >= 0) & (at_ns < spans[np.maximum(before, 0), 1])
    return inside
