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
from node.kernel import conversions, kernel
from node.kernel.bound import bound
from node.kernel.record import Records
from node.units import NS_PER_3_SAMPLES, NS_PER_MS, NS_PER_S, RATE_HZ, samples_to_ns

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
_SCRATCH: Final = 2 * REPORTS_MAX + _PAIRS_MAX
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


class ReportMap:
    """The line from media time to the sender's clock."""

    def __init__(self) -> None:
        self.restarts = 0
        self._restarted_ns = 0
        self._again = 0
        self._reports = np.zeros((2, REPORTS_MAX), np.int64)
        self._sender_ns, self._media_samples = self._reports
        self._line = np.zeros(2, np.float64)
        self._fit_reports = bound(
            _fit_reports, self._reports, self._line, np.zeros(_SCRATCH, np.float64)
        )
        self._count = 0
        self._contradicted = False
        self._slope = 0.0
        self._lag_ns = 0

    def receive_report(self, sender_ns: int, media_time_samples: int) -> None:
        """Take "at `sender_ns` of the sender's clock the media time was this"."""
        if self._count > 0:
            newest = self._count - 1
            if sender_ns <= self._sender_ns[newest]:
                return  # a duplicate, or reports that overtook each other
            if abs(self._contradiction_ns(sender_ns, media_time_samples)) > _CONTRADICTION_NS:
                if not self._contradicted:
                    self._contradicted = True
                    return
                self._count = 0
                self._slope = 0.0
                self.restarts += 1
                self._again += 1
                self._restarted_ns = sender_ns
        self._contradicted = False
        if sender_ns - self._restarted_ns > _AGAIN_NS:
            self._again = 0
        if self._count >= _DENSE_REPORTS and sender_ns - self._newest_ns() < _APART_NS:
            return  # answers come in bursts; the line rests on reports far apart
        self._append(sender_ns, media_time_samples)
        self._fit()

    def clear(self) -> None:
        """Forget all reports: the sender's clock was set."""
        self._count = 0
        self._slope = 0.0
        self._contradicted = False
        self._again = 0

    @property
    def is_unsteady(self) -> bool:
        """Return whether line after line was contradicted: the sender does not keep its pace."""
        return self._again >= _AGAIN_MAX

    @property
    def settled_in_ns(self) -> int:
        """Return how soon another report would settle what is in doubt, or NO_DOUBT_NS."""
        if self._contradicted:
            return _TWICE_NS
        return _AGAIN_NS if self._again else NO_DOUBT_NS

    @property
    def ready(self) -> bool:
        """Return whether a report has come."""
        return self._count > 0

    @property
    def media_time_samples(self) -> int:
        """Return the media time of the newest report."""
        return int(self._media_samples[self._count - 1])

    @property
    def sender_ns(self) -> int:
        """Return the sender's time of that media time, by the line."""
        return int(self._sender_ns[self._count - 1]) + self._lag_ns

    @property
    def skew_ppm(self) -> float:
        """Return the media clock against the sender's clock, positive is fast."""
        return self._slope * 1e6

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
        _transits(line, self.media_time_samples, self.sender_ns, self._slope, found)
        return found

    def _contradiction_ns(self, sender_ns: int, media_time_samples: int) -> int:
        newest = self._count - 1
        media = media_time_samples - int(self._media_samples[newest])
        media_ns = samples_to_ns(media)
        due_ns = self.sender_ns + round(media_ns / (1.0 + self._slope))
        return sender_ns - due_ns

    def _newest_ns(self) -> int:
        return int(self._sender_ns[self._count - 1])

    def _append(self, sender_ns: int, media_time_samples: int) -> None:
        n = self._count
        drop = n + 1 - REPORTS_MAX
        if n > 0 and self._sender_ns[0] < sender_ns - WINDOW_NS:
            drop = max(drop, int(np.searchsorted(self._sender_ns[:n], sender_ns - WINDOW_NS)))
        if drop > 0:
            for values in (self._sender_ns, self._media_samples):
                values[: n - drop] = values[drop:n]
            n -= drop
        self._sender_ns[n] = sender_ns
        self._media_samples[n] = media_time_samples
        self._count = n + 1

    def _fit(self) -> None:
        """Put a line through the reports; `_lag_ns` is what it adds to the newest one's time."""
        self._line[0] = self._slope
        self._fit_reports(self._count)
        self._slope, lag_ns = self._line.tolist()
        self._lag_ns = int(lag_ns)


@kernel("void(int64[:, ::1], float64[::1], float64[::1], int64)")
def _fit_reports(
    reports: NDArray[np.int64], line: NDArray[np.float64], scratch: NDArray[np.float64], n: int
) -> None:
    """Put a line through the reports.

    reports  (2, REPORTS_MAX) int64: the sender's clock, ascending, in ns, and the media time
    line     (2,) float64: the slope before, a ratio less one, and then the new one; what the line
             adds to the newest report's time, in ns
    scratch  (_SCRATCH,) float64
    n        reports, one at least
    """
    x_ns = scratch[:REPORTS_MAX]
    ahead_ns = scratch[REPORTS_MAX : 2 * REPORTS_MAX]
    more = scratch[2 * REPORTS_MAX :]
    for i in range(n):
        away_ns = reports[0, i] - reports[0, n - 1]
        x_ns[i] = float(away_ns)
        ahead_ns[i] = float(_lasts_ns(reports[1, i] - reports[1, n - 1]) - away_ns)
    if -x_ns[0] > _SPAN_MIN_NS and n >= _SLOPE_REPORTS_MIN:
        pairs = pair_slopes(x_ns, ahead_ns, n, max(1, n // 2), more)
        slope = select_near(more, pairs, pairs // 2, line[0], _NEAR) if pairs > 0 else 0.0
        line[0] = min(max(slope, -_SLOPE_MAX), _SLOPE_MAX)
    for i in range(n):
        more[i] = ahead_ns[i] - line[0] * x_ns[i]
    # The line's media time at the newest report lies this far ahead of the reported one.
    line[1] = -np.rint(select(more, n, n // 2))


@kernel("void(Line[::1], int64, int64, float64, int64[:, ::1])")
def _transits(
    lines: Records[Line],
    media_samples: int,
    sender_ns: int,
    slope: float,
    found: NDArray[np.int64],
) -> None:
    """See `transits_of`.

    media_samples, sender_ns  media time and the sender's clock at one instant
    slope                     of the media clock against it, a ratio less one
    found                     (POINT_ROWS, blocks + 1) int64, ns: filled
    """
    line = lines[0]
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
