"""What was asked of a rate that several nodes share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRow:
    """One backhaul or cell."""

    kind: str
    """`backhaul` or `cell`."""

    commune: str
    bearer: str
    """Of a cell; empty for a backhaul."""

    streams: int
    """That pass it at once."""

    rate_kbit_s: float
    asked_kbit_s: float
    """By the streams, headers included."""

    dropped_packets: int
    """Copies that found the queue full."""

    fits: bool

    def said(self) -> str:
        """Return one sentence for people."""
        what = f"{self.kind} of {self.commune}" + (f" ({self.bearer})" if self.bearer else "")
        return (
            f"{self.streams} {'stream asks' if self.streams == 1 else 'streams ask'} "
            f"{self.asked_kbit_s:g} of the {self.rate_kbit_s:g} kbit/s of the {what}"
        )
