"""The rows of a trace: when each packet of a stream left and came. Its import loads the kernels."""

import csv
from typing import Any, Final, TextIO

import numpy as np

from node.rtp import packet as rtp
from node.units import NS_PER_MS, SAMPLES_PER_MS

COLUMNS: Final = ("seq", "send_ms", "arrival_ms", "bytes", "utc_ms")
BYTES_MAX: Final = 1 << 30
"""Of a file: some 300 days of one stream."""


class Recorder:
    """The packets of the stream that is heard first, one row each."""

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._header = np.zeros(rtp.HEADER_FIELDS, np.int64)
        self._writer: Any = csv.writer(target, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self._last: tuple[int, int] | None = None
        self._begin_ns = 0
        self._ssrc = -1
        self.packets = 0
        self.others = 0
        """Datagrams of other streams, or no packets at all."""

    def receive(self, data: bytes, arrival_ns: int, utc_ns: int) -> None:
        """Take a datagram; times are of the machine's monotonic and civil clock."""
        header = self._header
        if rtp.parse(np.frombuffer(bytearray(data), np.uint8), header) != rtp.RTP:
            self.others += 1
            return
        sequence, timestamp = int(header[rtp.SEQUENCE]), int(header[rtp.TIMESTAMP])
        ssrc = int(header[rtp.SSRC])
        if self._last is None:
            self._last, self._ssrc, self._begin_ns = (sequence, timestamp), ssrc, arrival_ns
        if ssrc != self._ssrc:
            self.others += 1
            return
        before = self._last
        self._last = (_near(before[0], sequence, 16), _near(before[1], timestamp, 32))
        came_ms = (arrival_ns - self._begin_ns) / NS_PER_MS
        sent_ms = self._last[1] / SAMPLES_PER_MS
        row = (self._last[0], f"{sent_ms:.3f}", f"{came_ms:.3f}", len(data), utc_ns // NS_PER_MS)
        self._writer.writerow(row)
        self.packets += 1

    @property
    def stream(self) -> str:
        """Return the stream that is recorded, as people write it."""
        return "no stream" if self._last is None else f"stream {self._ssrc:08x}"

    @property
    def is_full(self) -> bool:
        """Whether the file is as long as one may be."""
        return self._target.tell() >= BYTES_MAX


def _near(before: int, value: int, bits: int) -> int:
    """Return the number with these low `bits` that is nearest to `before`."""
    half = 1 << (bits - 1)
    return before + ((value - before + half) & ((1 << bits) - 1)) - half
