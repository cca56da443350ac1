"""What a muted amplifier keeps from the horn: in silence it mutes, and is not back at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sim.result.day import DaySpan


@dataclass(frozen=True, slots=True)
class Audible:
    """A stretch of time in which one item left the horn, equally loud."""

    span: DaySpan
    muted_s: float
    """At its begin the amplifier was still mute for so long."""

    loud_dba: float

    @property
    def from_s(self) -> float:
        """Return when it is heard first, s into the day."""
        return self.span.from_s + self.muted_s


def audible(spans: Iterable[DaySpan], release_s: float) -> Iterator[Audible]:
    """Yield what left the horn of one pole.

    The amplifier is mute from the end of a sound to `release_s` after the first sample of the
    next: how long it waits before it mutes is not in its profile, so it is taken not to wait.

    Parameters
    ----------
    spans : iterable of DaySpan
        All of the pole, in order; in what no span covers nothing sounded.
    release_s : float
        Of the amplifier's profile, s.
    """
    opens_s = ended_s = -1.0
    for span in spans:
        if span.played_dba is None:
            continue
        if span.from_s > ended_s:
            opens_s = span.from_s + release_s
        ended_s = span.until_s
        muted_s = max(0.0, opens_s - span.from_s)
        if muted_s < span.until_s - span.from_s:
            yield Audible(span, muted_s, span.played_dba)
