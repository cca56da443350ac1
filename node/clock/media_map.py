"""Media time against the sender's clock, from its reports (RFC 3550, 6.4.1).

One report would be enough if the sender's sound came off the clock that it reports. A sound card
has a crystal of its own, and reports jitter by its period; so a Theil-Sen line through the last
reports says which instant belongs to which media time, and how fast the media clock runs. A
report that contradicts the line twice in a row (a seek, a restart) begins a new one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.robust_line import pair_slopes, select, select_near
from node.clock.state import POINT_ROWS, Line
from node.kernel import conversions, inner_kernel, kernel
from node.kernel.bound import bound
from node.kernel.record import Record, Records, new, number, whole
from node.units import NS_PER_3_SAMPLES, NS_PER_MS, NS_PER_S, RATE_HZ

REPORTS_MAX: Final = 160
WINDOW_NS: Final = 300 * NS_PER_S

_DENSE_REPORTS: Final = 4
_APART_NS: Final = 500 * NS_PER_MS
_SPAN_MIN_NS: Final = 10.0 * NS_PER_S
_SLOPE_REPORTS_MIN: Final = 4
_SLOPE_MAX: Final = 600e-6
_NEAR: Final = 1e-6
"""The slope is looked for so near to the last one first."""
_PAIRS_MAX: Final = (REPORTS_MAX // 2) * (REPORTS_MAX // 2 + 1) // 2
SCRATCH: Final = 2 * REPORTS_MAX + _PAIRS_MAX
_CONTRADICTION_NS: Final = 20 * NS_PER_MS
_AGAIN_NS: Final = 3 * NS_PER_S // 4
_AGAIN_MAX: Final = 3
"""So many new lines, none of which a report agreed with so much later: no clock to play by. Less
than from one question to the next, or of two answers a second apart one would never be enough."""
_TWICE_NS: Final = 250 * NS_PER_MS
"""One that contradicts the line is asked about again so soon. With a question each second alone a
sender that keeps its pace again is believed after up to three."""
_lasts_ns = conversions.samples_to_ns
NO_DOUBT_NS: Final = 3600 * NS_PER_S
_RATE_SAMPLES: Final = RATE_HZ // 10
_RATE_RATIO_MAX: Final = 16.0


class StampRate:
    """How fast RTP timestamps count that cannot be samples at 48 kHz: a report names one of them.

    Between two packets a sender's report lies up to a packet away from the one that came last. A
    stamp at 8 kHz, taken for samples, would put it into another place each time.
    """

    def __init__(self) -> None:
        self._ratio = 1.0
        self._media_samples: int | None = None
        self._stamp = 0

    def receive_packet(self, media_time_samples: int, stamp: int, *, is_wrong: bool) -> None:
        """Take media time and RTP timestamp of the newest packet, both unwrapped."""
        if not is_wrong:
            self._ratio, self._media_samples = 1.0, None
            return
        if self._media_samples is not None:
            passed = media_time_samples - self._media_samples
            if 0 <= passed < _RATE_SAMPLES:
                return
            ratio = (stamp - self._stamp) / passed
            if 1.0 / _RATE_RATIO_MAX <= ratio <= _RATE_RATIO_MAX:
                self._ratio = ratio
        self._media_samples, self._stamp = media_time_samples, stamp

    def samples(self, stamps: int) -> int:
        """Return how long so many counts of the RTP timestamp last, in samples."""
        return round(stamps / self._ratio)


class Reported(Record):
    """The last reports of a sender, and the line through them."""

    count: int = whole("", "Reports that are kept.")
    contradicted: int = whole("", "1: the last report contradicted the line.")
    restarts: int = whole("", "How often a new line began.")
    restarted_ns: int = whole("ns", "When the last one did, by the sender's clock.")
    again: int = whole("", "New lines in a row, none of which a report agreed with a little later.")
    lag_ns: int = whole("ns", "What the line adds to the newest report's time.")
    slope: float = number("", "Of the media clock against the sender's, a ratio less one.")
    kept: NDArray[np.int64] = whole(
        "", "Of each report the sender's clock, ascending, in ns, and the media time in samples.",
        (2, REPORTS_MAX),
    )  # fmt: skip


@inner_kernel("void(Reported)")
def clear(reported: Reported) -> None:
    """Forget all reports: the sender's clock was set."""
    reported.count = 0
    reported.slope = 0.0
    reported.contradicted = 0
    reported.again = 0


@inner_kernel("void(Reported)")
def begin(reported: Reported) -> None:
    """Know no report."""
    clear(reported)
    reported.restarts = 0
    reported.restarted_ns = 0
    reported.lag_ns = 0


@inner_kernel("void(Reported, int64, int64)")
def _append(reported: Reported, sender_ns: int, media_time_samples: int) -> None:
    n = reported.count
    drop = max(0, n + 1 - REPORTS_MAX)
    while drop < n and reported.kept[0, drop] < sender_ns - WINDOW_NS:
        drop += 1
    if drop > 0:
        n -= drop
        for row in range(2):
            for i in range(n):
                reported.kept[row, i] = reported.kept[row, drop + i]
    reported.kept[0, n] = sender_ns
    reported.kept[1, n] = media_time_samples
    reported.count = n + 1


@inner_kernel("void(Reported, float64[::1])")
def _fit_reports(reported: Reported, scratch: NDArray[np.float64]) -> None:
    """Put a line through the reports, one at least.

    scratch  (SCRATCH,) float64, ns: room
    """
    n = reported.count
    x_ns = scratch[:REPORTS_MAX]
    ahead_ns = scratch[REPORTS_MAX : 2 * REPORTS_MAX]
    more = scratch[2 * REPORTS_MAX :]
    for i in range(n):
        away_ns = reported.kept[0, i] - reported.kept[0, n - 1]
        x_ns[i] = float(away_ns)
        ahead_ns[i] = float(_lasts_ns(reported.kept[1, i] - reported.kept[1, n - 1]) - away_ns)
    if -x_ns[0] > _SPAN_MIN_NS and n >= _SLOPE_REPORTS_MIN:
        pairs = pair_slopes(x_ns, ahead_ns, n, max(1, n // 2), more)
        slope = select_near(more, pairs, pairs // 2, reported.slope, _NEAR) if pairs > 0 else 0.0
        reported.slope = min(max(slope, -_SLOPE_MAX), _SLOPE_MAX)
    for i in range(n):
        more[i] = ahead_ns[i] - reported.slope * x_ns[i]
    # The line's media time at the newest report lies this far ahead of the reported one.
    reported.lag_ns = int(-np.rint(select(more, n, n // 2)))


@inner_kernel("int64(Reported, int64)")
def map_ns(reported: Reported, media_time_samples: int) -> int:
    """Return what the sender's clock shows at a media time, by the line; there is a report."""
    newest = reported.count - 1
    media_ns = _lasts_ns(media_time_samples - reported.kept[1, newest])
    ahead_ns = np.int64(np.rint(media_ns / (1.0 + reported.slope)))
    return int(reported.kept[0, newest] + reported.lag_ns + ahead_ns)


@inner_kernel("void(Reported, float64[::1], int64, int64)")
def receive_report(
    reported: Reported, scratch: NDArray[np.float64], sender_ns: int, media_time_samples: int
) -> None:
    """Take "at `sender_ns` of the sender's clock the media time was this".

    scratch  (SCRATCH,) float64, ns: room
    """
    if reported.count > 0:
        newest_ns = reported.kept[0, reported.count - 1]
        if sender_ns <= newest_ns:
            return  # a duplicate, or reports that overtook each other
        due_ns = map_ns(reported, media_time_samples)
        if abs(sender_ns - due_ns) > _CONTRADICTION_NS:
            if reported.contradicted == 0:
                reported.contradicted = 1
                return
            reported.count = 0
            reported.slope = 0.0
            reported.restarts += 1
            reported.again += 1
            reported.restarted_ns = sender_ns
    reported.contradicted = 0
    if sender_ns - reported.restarted_ns > _AGAIN_NS:
        reported.again = 0
    count = reported.count
    if count >= _DENSE_REPORTS and sender_ns - reported.kept[0, count - 1] < _APART_NS:
        return  # answers come in bursts; the line rests on reports far apart
    _append(reported, sender_ns, media_time_samples)
    _fit_reports(reported, scratch)


@inner_kernel("int64(Reported)")
def settled_in_ns(reported: Reported) -> int:
    """Return how soon another report would settle what is in doubt, or NO_DOUBT_NS."""
    if reported.contradicted != 0:
        return _TWICE_NS
    return _AGAIN_NS if reported.again != 0 else NO_DOUBT_NS


@inner_kernel("boolean(Reported)")
def is_unsteady(reported: Reported) -> bool:
    """Return whether line after line was contradicted: the sender does not keep its pace."""
    return bool(reported.again >= _AGAIN_MAX)


class ReportMap:
    """The line from media time to the sender's clock."""

    def __init__(self) -> None:
        self.reported = new(Reported)
        self._receive_report = bound(_receive_report, self.reported)
        # A field of an array of records is looked up by name each time: told each answer.
        self._count: NDArray[np.int64] = self.reported["count"]
        self._contradicted: NDArray[np.int64] = self.reported["contradicted"]
        self._again: NDArray[np.int64] = self.reported["again"]
        self._restarts: NDArray[np.int64] = self.reported["restarts"]
        self._lag_ns: NDArray[np.int64] = self.reported["lag_ns"]
        self._slope: NDArray[np.float64] = self.reported["slope"]
        self._kept: NDArray[np.int64] = self.reported["kept"][0]

    def receive_report(self, sender_ns: int, media_time_samples: int) -> None:
        """Take "at `sender_ns` of the sender's clock the media time was this"."""
        # Once a second at most; kept by each node of a village it was 28 kB of it.
        self._receive_report(np.empty(SCRATCH, np.float64), sender_ns, media_time_samples)

    def clear(self) -> None:
        """Forget all reports: the sender's clock was set."""
        _clear(self.reported)

    @property
    def restarts(self) -> int:
        """How often a new line began."""
        return self._restarts.item()

    @property
    def is_unsteady(self) -> bool:
        """Return whether line after line was contradicted: the sender does not keep its pace."""
        return self._again.item() >= _AGAIN_MAX

    @property
    def settled_in_ns(self) -> int:
        """Return how soon another report would settle what is in doubt, or NO_DOUBT_NS."""
        if self._contradicted.item():
            return _TWICE_NS
        return _AGAIN_NS if self._again.item() else NO_DOUBT_NS

    @property
    def ready(self) -> bool:
        """Return whether a report has come."""
        return self._count.item() > 0

    @property
    def media_time_samples(self) -> int:
        """Return the media time of the newest report."""
        return int(self._kept[1, self._count.item() - 1])

    @property
    def sender_ns(self) -> int:
        """Return the sender's time of that media time, by the line."""
        return int(self._kept[0, self._count.item() - 1]) + self._lag_ns.item()

    @property
    def skew_ppm(self) -> float:
        """Return the media clock against the sender's clock, positive is fast."""
        return self._slope.item() * 1e6

    def transits_of(self, line: Records[Line]) -> NDArray[np.int64]:
        """Return the fastest and the slowest packets of a time base, by the sender's clock.

        Of the last minutes, oldest first: one of each block of the envelope, by the floor that is
        held, and of the one that is under way.

        Parameters
        ----------
        line : (1,) Line
            The state of the time base.

        Returns
        -------
        (4, n) int64
            Arrival of the fastest and its transit from the sender's clock, then of the slowest, ns.
        """
        found = np.empty((POINT_ROWS, int(line["blocks"][0]) + 1), np.int64)
        _transits(self.reported, line, found)
        return found


@inner_kernel("void(Reported, Line, int64[:, ::1])")
def transits(reported: Reported, line: Line, found: NDArray[np.int64]) -> None:
    """Write the fastest and the slowest packets of a time base; see `transits_of`.

    found  (POINT_ROWS, blocks + 1 or more) int64, ns: filled
    """
    newest = reported.count - 1
    media_samples = reported.kept[1, newest]
    sender_ns = reported.kept[0, newest] + reported.lag_ns
    slope = reported.slope
    points = line.points[:]
    for i in range(line.blocks + 1):
        for row in range(0, POINT_ROWS, 2):
            if i < line.blocks:
                x_ns = np.int64(np.rint(points[row, i]))
                y_ns = np.int64(np.rint(points[row + 1, i]))
            elif row == 0:
                x_ns = np.int64(line.block_x_ns)
                y_ns = np.int64(line.block_y_ns)
            else:
                x_ns = np.int64(line.block_top_x_ns)
                y_ns = np.int64(line.block_top_y_ns)
            media = (x_ns * 3 + NS_PER_3_SAMPLES // 2) // NS_PER_3_SAMPLES
            away_ns = _lasts_ns(int(media) + line.media_anchor_samples - media_samples)
            bent_ns = np.int64(np.rint(away_ns * (slope / (1.0 + slope))))
            found[row, i] = x_ns + y_ns + line.local_anchor_ns
            found[row + 1, i] = found[row, i] - (away_ns - bent_ns + sender_ns)


@kernel("void(Reported[::1], float64[::1], int64, int64)")
def _receive_report(
    reported: Records[Reported],
    scratch: NDArray[np.float64],
    sender_ns: int,
    media_time_samples: int,
) -> None:
    """See `receive_report`.

    scratch  (SCRATCH,) float64, ns: room
    """
    receive_report(reported[0], scratch, sender_ns, media_time_samples)


@kernel("void(Reported[::1])")
def _clear(reported: Records[Reported]) -> None:
    """See `clear`."""
    clear(reported[0])


@kernel("void(Reported[::1], Line[::1], int64[:, ::1])")
def _transits(reported: Records[Reported], lines: Records[Line], found: NDArray[np.int64]) -> None:
    """See `transits`.

    found  (POINT_ROWS, blocks + 1) int64, ns: filled
    """
    transits(reported[0], lines[0], found)
