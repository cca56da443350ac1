"""What a run did, in a few bytes: all rows of a journal, mixed, however they come in pieces.

Two runs of one trace decided the same at each packet and each instant, to the ns. It is told apart
by accident, not by malice, so it is multiplied and not encrypted: 3 ns a row, and SHA-256 thirty.
"""

from typing import Final

import numpy as np

from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, new, whole
from node.source.state import Played

# Odd, with bits everywhere: those of the golden ratio and of the roots of 2 and 3.
_MEDIA: Final = np.uint64(0x9E3779B97F4A7C15)
_PLAYED: Final = np.uint64(0x6A09E667F3BCC909)
_FIRST: Final = np.uint64(0xB504F333F9DE6485)
_SECOND: Final = np.uint64(0xBB67AE8584CAA73B)
_THIRTY_TWO: Final = np.uint64(32)
_TWENTY_NINE: Final = np.uint64(29)


class Mixed(Record):
    """The rows so far."""

    first: int = whole("", "Half of the bits.", of=np.uint64)
    second: int = whole("", "The other half.", of=np.uint64)


@inner_kernel("void(Mixed, Played)")
def mix(mixed: Mixed, row: Played) -> None:
    """Add a row, as the node wrote it."""
    came = np.uint64(row.media) * _MEDIA ^ np.uint64(row.arrival_ns)
    what = np.uint64(row.ssrc << 32 ^ row.samples << 8 ^ row.origin)
    played = np.uint64(row.presentation_ns) * _PLAYED ^ what
    first = (mixed.first ^ came) * _FIRST
    first ^= first >> _THIRTY_TWO
    second = (mixed.second + (played ^ first)) * _SECOND
    mixed.first = first  # type: ignore[assignment]  # of the record it is unsigned too
    mixed.second = second ^ second >> _TWENTY_NINE  # type: ignore[assignment]


@kernel("void(Mixed[::1], Played[::1])")
def _mix_rows(mixed: Records[Mixed], journal: Records[Played]) -> None:
    """Add all rows of a journal, as the node wrote them."""
    for i in range(journal.shape[0]):
        mix(mixed[0], journal[i])


class Trace:
    """The trace of one node's journal."""

    def __init__(self) -> None:
        self.mixed = new(Mixed)
        """An array of one, for kernels."""

    def add(self, journal: Records[Played]) -> None:
        """Add rows as the node wrote them, before anybody puts their instants right."""
        _mix_rows(self.mixed, journal)

    def digest(self) -> bytes:
        """Return 16 bytes that say what was added, in which order."""
        return np.array(self.mixed.tolist()[0], "<u8").tobytes()
