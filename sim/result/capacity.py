"""What was asked of a rate that several nodes share, and what it costs whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

IDLE_MONTH_MB: Final = 53.7
"""What a node that plays nothing live pays in a month of 30 days: TLS to the broker, every header,
keep-alive of 8 s; measured (`python -m benchmarks idle_link`)."""

_MB: Final = 1e6
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityRow:
    """The station's uplink, one backhaul, or one cell."""

    kind: str
    """`uplink`, `backhaul` or `cell`."""

    commune: str
    """Empty for the uplink of the one station of all communes."""

    bearer: str
    """Of a cell; empty for the others."""

    streams: int
    """That pass it at once."""

    rate_kbit_s: float | None
    """None where nobody has measured it."""

    asked_kbit_s: float
    """By the streams and all beside them, on average, headers included."""

    repair_kbit_s: float
    """Of that, what was sent again and asked for."""

    chatter_kbit_s: float
    """Of that, questions for the time and MQTT, with what answers them."""

    dropped_packets: int
    """Copies that found the queue full."""

    left_kbit_s: float | None = None
    """The least of the rate that a fault leaves meanwhile; None: all of it."""

    @property
    def fits(self) -> bool | None:
        """Whether there is room for all; None where nobody knows the rate."""
        if self.rate_kbit_s is None:
            return None
        left_kbit_s = self.rate_kbit_s if self.left_kbit_s is None else self.left_kbit_s
        return self.asked_kbit_s <= left_kbit_s

    @property
    def is_traced(self) -> bool:
        """Whether it is a cell of which a trace is all that is known."""
        return self.bearer.startswith("trace:")

    @property
    def over(self) -> bool:
        """Whether it is known that there is no room."""
        return self.fits is False

    def said(self) -> str:
        """Return one sentence for people."""
        ask = f"{self.streams} {'stream asks' if self.streams == 1 else 'streams ask'}"
        where = f" of {self.commune}" if self.commune else " of the station"
        what = f"{self.kind}{where}" + (f" ({self.bearer})" if self.bearer else "")
        parts = [f"{self.repair_kbit_s:g} of it again"] if self.repair_kbit_s else []
        if self.chatter_kbit_s:
            parts.append(f"{self.chatter_kbit_s:g} of it reports and MQTT")
        repair = f" ({', '.join(parts)})" if parts else ""
        dropped = f"; {self.dropped_packets} copies found no room" if self.dropped_packets else ""
        if self.rate_kbit_s is None:
            why = ", not measured"
            if self.is_traced:
                why = ': a trace tells of no rate, and of no way up; say like = "BEARER" beside it'
            return f"{ask} {self.asked_kbit_s:g} kbit/s{repair} of the {what}{why}"
        rate = f"{self.rate_kbit_s:g} kbit/s"
        if self.left_kbit_s is not None:
            rate = f"{self.left_kbit_s:g} kbit/s that congestion leaves of {rate}"
        return f"{ask} {self.asked_kbit_s:g}{repair} of the {rate} of the {what}{dropped}"


def capacity_lines(rows: list[CapacityRow]) -> list[tuple[str, str]]:
    """Return (mark, sentence) for people: what does not fit first, what nobody knows as one."""
    known = sorted(
        (one for one in rows if one.rate_kbit_s is not None), key=lambda one: not one.over
    )
    found = [("DOES NOT FIT" if one.over else "fits", one.said()) for one in known]
    for traced in (False, True):
        unknown = [one for one in rows if one.fits is None and one.is_traced == traced]
        if not unknown:
            continue
        most = max(unknown, key=lambda one: one.asked_kbit_s)
        others = f"; and {len(unknown) - 1} other cells, less each" if len(unknown) > 1 else ""
        found.append(("not known", f"{most.said()}{others}"))
    return found


def data_line(node_bytes: Sequence[int], duration_s: float) -> str:
    """Return what a SIM pays, and what the stations send, from each node's bytes of a run."""
    per_hour = [one * _HOUR_S / duration_s / _MB for one in node_bytes]
    sent_kbit_s = 8 * sum(node_bytes) / duration_s / 1000
    return (
        f"an hour of this costs a SIM {sum(per_hour) / len(per_hour):.1f} MB with all headers, "
        f"{max(per_hour):.1f} at the most; idle, {IDLE_MONTH_MB:g} MB a month; "
        f"{sent_kbit_s:.0f} kbit/s for all {len(per_hour)}"
    )
