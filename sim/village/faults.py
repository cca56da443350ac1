"""What goes wrong, where and when: one kind of row for a run and its day."""

from dataclasses import dataclass
from typing import Final, Literal

from node.config import check
from node.control.civil_time import parse_time

END_OF_DAY: Final = "24:00"

_PLACES: Final = ("commune", "hamlet", "cluster", "bearer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row of `[[faults]]` or `[[day.faults]]`, which mean the same. Without a place: everybody.

    ===========  ==========================================================================
    kind         means
    ===========  ==========================================================================
    power_cut    the node is off, and boots when the power is back
    link_down    nothing comes to it and nothing from it
    card_gone    its sound card is not there: it lives, and nothing sounds
    broker_down  the broker is away for all: no order comes, live sound does
    ===========  ==========================================================================
    """

    kind: Literal["link_down", "power_cut", "card_gone", "broker_down"]
    from_s: float | None = None
    until_s: float | None = None
    """Seconds of the run, which begins at `day.live_at`."""

    start: str | None = None
    end: str | None = None
    """Or wall clock `hh:mm`; `24:00` is the end of the day. An end before the start is past
    midnight: in the night before the day, and in the night after it."""

    commune: str | None = None
    hamlet: str | None = None
    cluster: str | None = None
    bearer: str | None = None

    def __post_init__(self) -> None:
        seconds, clock = (self.from_s, self.until_s), (self.start, self.end)
        one_way = (None in seconds) != (None in clock) and {None} in (set(seconds), set(clock))
        first = parse_time(self.start or "00:00")
        last = parse_time("00:00" if self.end in (None, END_OF_DAY) else self.end or "")
        good = self.start is None or (first is not None and last is not None)
        good &= self.start is None or self.start != self.end
        named = [name for name in _PLACES if getattr(self, name) is not None]
        check(
            "faults",
            {
                "times": (one_way, (*seconds, *clock), "from_s and until_s, or start and end"),
                "end": (good, self.end, f"hh:mm, other than start = {self.start}"),
                "kind": (
                    self.kind != "broker_down" or not named,
                    self.kind,
                    f"without {', '.join(named)}: the broker is everybody's",
                ),
            },
        )

    def meets(self, where: tuple[str, str, str, str]) -> bool:
        """Return whether it is for who is at (commune, hamlet, cluster, bearer)."""
        asked = (self.commune, self.hamlet, self.cluster, self.bearer)
        return all(name in (None, there) for name, there in zip(asked, where, strict=True))
