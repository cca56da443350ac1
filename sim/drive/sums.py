"""What one row of a node's journal adds to its sums, in kernels: where it was, and how it came.

```
row ─► look: where in the programme, and was the node heard then? ─► coverage, alignment
        └► add_delay: the way of its packet, stage by stage ─► sums, histogram
```
Of packets that follow one another, and were heard whole, the ways are summed up before they are
split: that is a quarter of the work.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.resampler import LOOKAHEAD_SAMPLES
from node.counters import Origin
from node.kernel import inlined, inner_kernel, kernel
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Record, Records, whole
from node.source.state import Played
from node.units import RATE_HZ
from sim.drive.coverage import COVERED, DELAY_BIN_NS, LIMIT, cover
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
    seconds: int = whole("", "Whole seconds of media time that begin in the rows so far.")


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


@inlined
def _add_stages(own: Sums, ways: tuple[int, ...], asked: tuple[int, ...], rows: int) -> None:
    """Split the ways of so many packets that came whole.

    ways   ns: when all were captured, sent, departed, arrived, stored and heard
    asked  ns: when the card asked for their periods, the CPU was done, and those began to be heard
    """
    captured, sent, departed, arrived, stored, heard = ways
    tick, finish, played = asked
    samples, stages = own.packet_samples, own.stages[:]
    stages[0] += (sent - captured) * samples
    stages[1] += (departed - sent) * samples
    stages[2] += (arrived - departed) * samples
    stages[3] += (tick - stored - rows * RESAMPLER_NS) * samples
    stages[4] += (finish - tick + stored - arrived) * samples
    stages[5] += rows * RESAMPLER_NS * samples
    stages[6] += (heard - finish) * samples
    own.waited += (tick + heard - played - sent) * samples
    own.samples += rows * samples


@inlined
def _follows(own: Sums, row: Played, start: int) -> bool:
    """Return whether a row is a whole packet as it came, and begins at `start`."""
    return bool(
        (((row.media - own.timestamp + (1 << 31)) & 0xFFFF_FFFF) - (1 << 31) == start)
        & (row.samples == own.packet_samples)
        & (row.origin == _RECEIVED)
    )


@inlined
def _with_packet(
    sums: tuple[int, ...], captured_ns: int, packets: NDArray[np.int64], row: Played, at: int
) -> tuple[int, ...]:
    """Return what `_add_stages` splits, with one packet more.

    packets  (3, n) int64, ns
    """
    sent_ns, departed_ns = packets[_SENT, at], packets[_DEPARTED, at]
    return (
        sums[0] + captured_ns,
        sums[1] + sent_ns,
        sums[2] + (sent_ns if departed_ns == LOST_NS else departed_ns),
        sums[3] + packets[_ARRIVED, at],
        sums[4] + row.arrival_ns,
        sums[5] + row.presentation_ns,
    )


@inlined
def _with_period(sums: tuple[int, ...], periods: NDArray[np.int64], near: int) -> tuple[int, ...]:
    """Return what `_add_stages` splits, with the period in which one packet more begins.

    periods  (4 or more, m) int64, ns, and a flag
    """
    return (
        sums[0] + periods[_TICK, near],
        sums[1] + periods[_FINISH, near],
        sums[2] + periods[_PERIOD_PLAY, near],
    )


@inlined
def _sum_up_plain(
    own: Sums,
    covered: NDArray[np.int64],
    raster: NDArray[np.uint8],
    weights: NDArray[np.int64],
    packets: NDArray[np.int64],
    periods: NDArray[np.int64],
    journal: Records[Played],
    seconds: NDArray[np.int64],
    first: int,
) -> int:
    """Book rows from `first` on while each is the packet after the one before; return the next row.

    Nearly all are: heard, whole, and as they came. What they add is summed up before it is weighed
    with their samples, and they cover the programme as one. Arrays as in `sum_up`.
    """
    samples = own.packet_samples
    start = begin = covered[COVERED]
    packet = start // samples
    at = packet - own.first_packet
    second = -(-start // RATE_HZ)
    near, count = max(own.near, 0), own.seconds
    captured_ns = packet * own.packet_ns - own.look_ahead_ns
    shortest_ns, longest_ns = own.delay_min_ns, own.delay_max_ns
    ways: tuple[int, ...] = (0, 0, 0, 0, 0, 0)
    asked: tuple[int, ...] = (0, 0, 0)
    i = first
    if packet * samples != start or own.first_sound_ns == NEVER or periods.shape[1] == 0:
        return i
    while i < journal.shape[0] and start + samples <= covered[LIMIT]:
        row = journal[i]
        begins_ns = row.presentation_ns
        while near + 1 < periods.shape[1] and periods[_PERIOD_PLAY, near + 1] <= begins_ns:
            near += 1
        is_heard = periods[_PERIOD_PLAY, near] <= begins_ns and periods[_UNHEARD, near] == 0
        if not (is_heard and 0 <= at < packets.shape[1] and _follows(own, row, start)):
            break
        ways = _with_packet(ways, captured_ns, packets, row, at)
        asked = _with_period(asked, periods, near)
        if second * RATE_HZ < start + samples:
            seconds[0, count] = second
            heard_ns = begins_ns + samples_to_ns(second * RATE_HZ - start)
            seconds[1, count] = heard_ns - own.own_delay_ns
            second, count = second + 1, count + 1
        delay_ns = begins_ns - captured_ns
        shortest_ns, longest_ns = min(shortest_ns, delay_ns), max(longest_ns, delay_ns)
        weights[min(max(delay_ns // DELAY_BIN_NS, 0), weights.shape[0] - 1)] += samples
        i, at, start = i + 1, at + 1, start + samples
        captured_ns += own.packet_ns
    if i > first:
        own.near, own.seconds = near, count
        own.delay_min_ns, own.delay_max_ns = shortest_ns, longest_ns
        cover(covered, raster, begin, start - begin, _RECEIVED)
        _add_stages(own, ways, asked, i - first)
    return i


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
    own.seconds = 0
    i = 0
    while True:
        i = _sum_up_plain(own, covered, raster, weights, packets, periods, journal, seconds, i)
        if i == journal.shape[0]:
            return own.seconds
        row = journal[i]
        i += 1
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
            heard_ns = row.presentation_ns + samples_to_ns(ahead)
            seconds[0, own.seconds] = second
            seconds[1, own.seconds] = heard_ns - own.own_delay_ns
            own.seconds += 1
        _add_delay(own, weights, packets, periods, row)


@kernel("int64(int64[::1], int64[::1], int64)")
def fastest(send_ns: NDArray[np.int64], arrive_ns: NDArray[np.int64], fastest_ns: int) -> int:
    """Return what the fastest packet took, of these and before.

    send_ns, arrive_ns  (n,) int64, ns; LOST_NS for what never came
    """
    for i in range(arrive_ns.shape[0]):
        if arrive_ns[i] != LOST_NS:
            fastest_ns = min(fastest_ns, arrive_ns[i] - send_ns[i])
    return int(fastest_ns)
