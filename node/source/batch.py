"""Many packets and periods of one source in one call, when nobody listens and nothing is decided.

A simulator asks a node that counts only for an hour at a time. As long as one source plays alone,
each period is `playback.advance` and each packet `playback.receive`: here is the loop over both.
Whatever needs more than that (another source, a sender that restarts, a source that falls silent,
a packet that is to be asked for again) ends the loop, and the node goes on as it always does.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as js
from node.jitter.repair import next_request_ns, watch
from node.kernel import kernel
from node.source.playback import advance, receive
from node.source.state import LAST_SOUND_NS, OTHER_SOURCE

PACKET: Final = 0
"""Index into `Batch.progress`: the next datagram."""
PERIOD: Final = 1
"""Index into `Batch.progress`: the next period."""
CONFIRMED_NS: Final = 2
"""Index into `Batch.progress`: until when the source has the horn without asking again."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Datagrams and periods in the order in which a node gets them; made by `make_batch`."""

    data: NDArray[np.uint8]
    """(bytes,) uint8: all datagrams, one after the other."""

    offsets: NDArray[np.int64]
    """(n + 1,) int64: where each begins in `data`."""

    now_ns: NDArray[np.int64]
    """(n,) int64: arrival of each."""

    before: NDArray[np.int64]
    """(m,) int64: how many of them come before each period."""

    presentation_ns: NDArray[np.int64]
    """(m,) int64: of the first sample of each period."""

    period_samples: int
    lead_ns: int
    """From the moment at which a period is asked for to its presentation."""

    source: tuple[str, int]
    """Where all the datagrams come from."""

    progress: NDArray[np.int64]
    """(3,) int64: next datagram, next period, CONFIRMED_NS."""


@kernel(
    "int64(uint8[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64, int64,"
    " int64, int64[::1], int64, int64[::1], int64[::1], int64[::1], int64[:, ::1], uint8[:, ::1],"
    " float32[:, ::1], int64[::1], float32[:, ::1], int64[::1], float64[::1], float64[:, ::1],"
    " float64[::1], float64[::1], int64[:, ::1], float32[:, ::1], int64, int64, int64[::1],"
    " int64[:, ::1])"
)
def replay(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    arrival_ns: NDArray[np.int64],
    before: NDArray[np.int64],
    presentation_ns: NDArray[np.int64],
    progress: NDArray[np.int64],
    latency_ns: int,
    until_ns: int,
    refresh_ns: int,
    header: NDArray[np.int64],
    ssrc: int,
    payload_types: NDArray[np.int64],
    own: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    payloads: NDArray[np.uint8],
    fifo: NDArray[np.float32],
    resampler: NDArray[np.int64],
    table: NDArray[np.float32],
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
    servo: NDArray[np.float64],
    journal: NDArray[np.int64],
    out: NDArray[np.float32],
    lead_ns: int,
    asks: int,
    repair: NDArray[np.int64],
    wanted: NDArray[np.int64],
) -> int:
    """Run periods of a source that plays alone; return the last result of `receive` or 0.

    data ... progress  of a `Batch`
    latency_ns         of what follows the source: it renders so much ahead
    until_ns           the first period that begins, with the latency, then or later is left
    refresh_ns         a source that sounds keeps the horn for so long at a time; silent for as
                       long at such a moment, it must be asked about
    lead_ns            of a `Batch`
    asks               not 0: the node asks for what is lost, and `repair` and `wanted` watch; a
                       period in which something is to be asked for is left, its datagrams taken
    the rest           as in `playback.receive`, `playback.advance` and `jitter.repair`

    A result at or below OTHER_SOURCE was not taken and is still to come; js.RESTARTED was taken.
    """
    while progress[PERIOD] < before.shape[0]:
        ahead_ns = presentation_ns[progress[PERIOD]] + latency_ns
        if ahead_ns >= until_ns:
            break
        if ahead_ns >= progress[CONFIRMED_NS]:
            if own[LAST_SOUND_NS] <= ahead_ns - refresh_ns:
                break
            progress[CONFIRMED_NS] = ahead_ns + refresh_ns
        while progress[PACKET] < before[progress[PERIOD]]:
            at = progress[PACKET]
            result = receive(
                data[offsets[at] : offsets[at + 1]], header, ssrc, payload_types,
                state, slots, payloads, ints, floats, points, scratch, arrival_ns[at],
            )  # fmt: skip
            if result <= OTHER_SOURCE:
                return int(result)
            progress[PACKET] += 1
            if result == js.RESTARTED:
                return int(result)
            if asks != 0 and result >= 0:
                watch(repair, wanted, state, slots, arrival_ns[at])
        if asks != 0:
            due_ns = next_request_ns(repair, wanted, state)
            if due_ns != js.NONE and due_ns <= presentation_ns[progress[PERIOD]] - lead_ns:
                break
        advance(
            own, state, slots, fifo, resampler, table, ints, floats, servo, journal,
            out, ssrc, ahead_ns,
        )  # fmt: skip
        progress[PERIOD] += 1
    return 0


def make_batch(
    datagrams: list[bytes],
    now_ns: NDArray[np.int64],
    before: NDArray[np.int64],
    presentation_ns: NDArray[np.int64],
    *,
    period_samples: int,
    lead_ns: int,
    source: tuple[str, int],
) -> Batch:
    """Return a batch of datagrams and periods; the arguments are as in `Batch`."""
    offsets = np.zeros(len(datagrams) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, datagrams), np.int64, len(datagrams)), out=offsets[1:])
    return Batch(
        data=np.frombuffer(bytearray(b"".join(datagrams)), np.uint8),
        offsets=offsets,
        now_ns=now_ns,
        before=before,
        presentation_ns=presentation_ns,
        period_samples=period_samples,
        lead_ns=lead_ns,
        source=source,
        progress=np.zeros(3, np.int64),
    )
