"""What one row of a node's journal adds to its sums, in kernels: where it was, and how it came.

```
row ─► look: where in the programme, and was the node heard then? ─► coverage, alignment
        └► add_delay: the way of its packet, stage by stage ─► sums, histogram
```
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.resampler import LOOKAHEAD_SAMPLES
from node.counters import Origin
from node.kernel import inner_kernel, kernel
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Record, Records, whole
from node.source.state import Played
from node.units import RATE_HZ
from sim.drive.coverage import DELAY_BIN_NS, cover
from sim.links.kernel import LOST_NS
from sim.result.run import STAGES

NEVER: Final = -(1 << 62)

_MADE_UP: Final = int(Origin.CONCEALED)
_SILENT: Final = int(Origin.SILENT)
_RECEIVED: Final = int(Origin.RECEIVED)
RESAMPLER_NS: Final = LOOKAHEAD_SAMPLES * 1_000_000_000 // RATE_HZ

# Rows of what is remembered of packets, (3, n) int64: true times in ns.
_SENT: Final = 0
_DEPARTED: Final = 1
_ARRIVED: Final = 2

# Rows of what is remembered of periods, (4, m) int64: true times in ns, and a flag.
_TICK: Final = 0
_FINISH: Final = 1
_PERIOD_PLAY: Final = 2
_UNHEARD: Final = 3
PERIOD_ROWS: Final = 4


class Sums(Record):
    """What is summed up of the rows of a node's journal, and what a row is looked at by."""

    timestamp: int = whole("samples", "RTP timestamp of the programme's first sample.")
    packet_samples: int = whole("samples", "Of a packet.")
    packet_ns: int = whole("ns", "From one packet to the next.")
    look_ahead_ns: int = whole("ns", "A decoded sample was captured so much before its media time.")
    own_delay_ns: int = whole("ns", "What this cluster plays later on purpose.")
    first_packet: int = whole("", "Number of the first packet that is remembered.")
    stages: NDArray[np.int64] = whole(
        "ns * samples", "Of each stage, over the samples of this call.", (len(STAGES),)
    )
    waited: int = whole("ns * samples", "What the jitter buffer added, likewise.")
    samples: int = whole("samples", "Received and heard, of this call.")
    delay_min_ns: int = whole("ns", "Shortest delay so far; -NEVER before any.")
    delay_max_ns: int = whole("ns", "Longest delay so far; NEVER before any.")
    first_sound_ns: int = whole("ns", "When the first of it was heard; NEVER before any.")
    start: int = whole("samples", "Where in the programme the row is that is looked at.")
    origin: int = whole("", "`counters.Origin` of what was heard of it.")
    near: int = whole("", "Place of the period in which it plays.")


@inner_kernel("int64(int64[:, ::1], int64, int64)")
def _period_at(periods: NDArray[np.int64], near: int, at_ns: int) -> int:
    """Return the place of the last period that plays at `at_ns` or before, -1 without one.

    periods  (4, m) int64, ns, and a flag
    near     a place at which to begin to look
    """
    while near + 1 < periods.shape[1] and periods[_PERIOD_PLAY, near + 1] <= at_ns:
        near += 1
    while near >= 0 and periods[_PERIOD_PLAY, near] > at_ns:
        near -= 1
    return near


@inner_kernel("void(Sums, int64[:, ::1], Played)")
def _look(own: Sums, periods: NDArray[np.int64], row: Played) -> None:
    """Find where in the programme a row of a journal is, and what was heard of it.

    periods  (4 or more, m) int64, ns, and a flag
    """
    own.start = ((row.media - own.timestamp + (1 << 31)) & 0xFFFF_FFFF) - (1 << 31)
    own.origin = row.origin
    own.near = _period_at(periods, own.near, row.presentation_ns)
    if own.near >= 0 and periods[_UNHEARD, own.near] == 1 and own.origin < _MADE_UP:
        own.origin = _SILENT


@inner_kernel("int64(int64[:, ::1], int64, int64)")
def _known(series: NDArray[np.int64], which: int, at: int) -> int:
    """Return what is remembered at a place, LOST_NS out of reach.

    series  (k, n) int64, ns
    """
    if 0 <= at < series.shape[1]:
        return int(series[which, at])
    return LOST_NS


@inner_kernel("void(Sums, int64[::1], int64[:, ::1], int64[:, ::1], Played)")
def _add_delay(
    own: Sums,
    weights: NDArray[np.int64],
    packets: NDArray[np.int64],
    periods: NDArray[np.int64],
    row: Played,
) -> None:
    """Split the way of a row's packet, from the capture of its first sample on.

    weights  (bins,) int64, samples of each delay, in bins of DELAY_BIN_NS
    packets  (3, n) int64, ns
    periods  (4 or more, m) int64, ns, and a flag
    """
    samples = row.samples
    packet = own.start // own.packet_samples
    captured_ns = packet * own.packet_ns - own.look_ahead_ns
    begins_ns = row.presentation_ns - samples_to_ns(own.start - packet * own.packet_samples)
    near = _period_at(periods, own.near, begins_ns)
    at = packet - own.first_packet
    sent_ns = _known(packets, _SENT, at)
    departed_ns = _known(packets, _DEPARTED, at)
    if departed_ns == LOST_NS:
        departed_ns = sent_ns
    stored_ns = row.arrival_ns
    # Repaired audio came with another packet: its own never arrived.
    arrived_ns = stored_ns
    if row.origin == _RECEIVED:
        arrived_ns = _known(packets, _ARRIVED, at)
    tick_ns = _known(periods, _TICK, near)
    finish_ns = _known(periods, _FINISH, near)
    stages = own.stages[:]
    stages[0] += (sent_ns - captured_ns) * samples
    stages[1] += (departed_ns - sent_ns) * samples
    stages[2] += (arrived_ns - departed_ns) * samples
    stages[3] += (tick_ns - stored_ns - RESAMPLER_NS) * samples
    stages[4] += (finish_ns - tick_ns + stored_ns - arrived_ns) * samples
    stages[5] += RESAMPLER_NS * samples
    stages[6] += (begins_ns - finish_ns) * samples
    played_ns = _known(periods, _PERIOD_PLAY, near)
    own.waited += (tick_ns + begins_ns - played_ns - sent_ns) * samples
    own.samples += samples
    delay_ns = begins_ns - captured_ns
    own.delay_min_ns = min(own.delay_min_ns, delay_ns)
    own.delay_max_ns = max(own.delay_max_ns, delay_ns)
    weights[min(max(delay_ns // DELAY_BIN_NS, 0), weights.shape[0] - 1)] += samples


@kernel(
    "int64(Sums[::1], int64[::1], uint8[::1], int64[::1], int64[:, ::1], int64[:, ::1],"
    " Played[::1], int64[:, ::1])"
)
def sum_up(
    sums: Records[Sums],
    covered: NDArray[np.int64],
    raster: NDArray[np.uint8],
    weights: NDArray[np.int64],
    packets: NDArray[np.int64],
    periods: NDArray[np.int64],
    journal: Records[Played],
    seconds: NDArray[np.int64],
) -> int:
    """Book each row of a journal; return how many whole seconds of media time begin in them.

    covered  (STATES,) int64, of `coverage.cover`: counts of samples and of events
    raster   (bins,) uint8, index of the worst `counters.Origin` in each bin
    weights  (bins,) int64, samples of each delay, in bins of DELAY_BIN_NS
    packets  (3, n) int64, ns
    periods  (4 or more, m) int64, ns, and a flag
    journal  (k,), its instants in true time
    seconds  (2, k or more) int64, which seconds, and when each was heard in ns: filled
    """
    own = sums[0]
    for stage in range(len(STAGES)):
        own.stages[stage] = 0
    own.waited = 0
    own.samples = 0
    own.near = -1
    count = 0
    for i in range(journal.shape[0]):
        row = journal[i]
        _look(own, periods, row)
        start, samples = own.start, row.samples
        cover(covered, raster, start, samples, own.origin)
        if own.origin >= _MADE_UP or start < 0:
            continue
        if own.first_sound_ns == NEVER:
            own.first_sound_ns = row.presentation_ns
        second = -(-start // RATE_HZ)
        ahead = second * RATE_HZ - start
        if ahead < samples:
            seconds[0, count] = second
            seconds[1, count] = row.presentation_ns - own.own_delay_ns + samples_to_ns(ahead)
            count += 1
        _add_delay(own, weights, packets, periods, row)
    return count


@kernel("int64(int64[::1], int64[::1], int64)")
def fastest(send_ns: NDArray[np.int64], arrive_ns: NDArray[np.int64], fastest_ns: int) -> int:
    """Return what the fastest packet took, of these and before.

    send_ns, arrive_ns  (n,) int64, ns; LOST_NS for what never came
    """
    for i in range(arrive_ns.shape[0]):
        if arrive_ns[i] != LOST_NS:
            fastest_ns = min(fastest_ns, arrive_ns[i] - send_ns[i])
    return int(fastest_ns)
