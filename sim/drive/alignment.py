"""How far the nodes of a group were apart: of each second of media time, when each played it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from sim.drive.tally import Tally

_NEVER_NS: Final = -(1 << 62)


@kernel("int64(int64[:, ::1], int64[::1], int64[::1], int64, int64)")
def _note(
    played_ns: NDArray[np.int64],
    second: NDArray[np.int64],
    play_ns: NDArray[np.int64],
    first_s: int,
    node: int,
) -> int:
    """Note when a node played some media seconds; those before `first_s` are settled.

    played_ns  (seconds, nodes) int64, ns from that second on: filled in
    second     (n,) int64, whole seconds of media time
    play_ns    (n,) int64, true time in ns

    Returned is how many seconds are missing; where some are, nothing is noted.
    """
    end_s = first_s + played_ns.shape[0]
    last_s = end_s - 1
    for i in range(second.shape[0]):
        last_s = max(last_s, second[i])
    for i in range(second.shape[0] if last_s < end_s else 0):
        if second[i] >= first_s:
            played_ns[second[i] - first_s, node] = play_ns[i]
    return int(last_s + 1 - end_s)


@kernel("void(int64[:, ::1], int64[::1], int64[:, ::1], int64[::1])")
def _settle(
    played_ns: NDArray[np.int64],
    row_ns: NDArray[np.int64],
    apart_ns: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Find how far each node was from the median of all that played a second.

    played_ns  (seconds, nodes) int64, true time in ns, _NEVER_NS where a node did not play it
    row_ns     (nodes,) int64, room
    apart_ns   (nodes, seconds) int64, ns: filled, of seconds that two or more played
    counts     (nodes,) int64, of how many seconds: filled
    """
    for node in range(counts.shape[0]):
        counts[node] = 0
    for second in range(played_ns.shape[0]):
        count = 0
        for node in range(counts.shape[0]):
            at_ns = played_ns[second, node]
            if at_ns == _NEVER_NS:
                continue
            place = count
            while place > 0 and row_ns[place - 1] > at_ns:
                row_ns[place] = row_ns[place - 1]
                place -= 1
            row_ns[place] = at_ns
            count += 1
        if count < 2:
            continue
        # Of two in the middle the mean, cut to a whole ns.
        middle_ns = int((row_ns[(count - 1) // 2] + row_ns[count // 2]) / 2)
        for node in range(counts.shape[0]):
            if played_ns[second, node] != _NEVER_NS:
                apart_ns[node, counts[node]] = abs(played_ns[second, node] - middle_ns)
                counts[node] += 1


class Alignment:
    """When each node played the start of each media second, and how far that was apart."""

    _WAIT_S: Final = 20
    """By then every node has played a second, or never will."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._first_s = 0
        self._played_ns = np.zeros((0, nodes), np.int64)

    def add(self, node: int, second: NDArray[np.int64], play_ns: NDArray[np.int64]) -> None:
        """Note when `node` played some media seconds.

        second   (n,) int64, whole seconds of media time
        play_ns  (n,) int64, true time in ns
        """
        missing = _note(self._played_ns, second, play_ns, self._first_s, node)
        if missing > 0:
            more = np.full((missing, self._nodes), _NEVER_NS, np.int64)
            self._played_ns = np.concatenate([self._played_ns, more])
            _note(self._played_ns, second, play_ns, self._first_s, node)

    def settle(self, before_s: int, tallies: list[Tally]) -> None:
        """Count the distance to the group's median for the seconds that are complete."""
        done = min(max(0, before_s - self._WAIT_S - self._first_s), len(self._played_ns))
        if done == 0:
            return
        played_ns, self._played_ns = self._played_ns[:done], self._played_ns[done:]
        self._first_s += done
        counts, apart_ns = np.empty(self._nodes, np.int64), np.empty((self._nodes, done), np.int64)
        _settle(played_ns, np.empty(self._nodes, np.int64), apart_ns, counts)
        once = np.ones(done, np.int64)
        for tally, own_ns, count in zip(tallies, apart_ns, counts.tolist(), strict=True):
            tally.skew.add(own_ns[:count], once[:count])
