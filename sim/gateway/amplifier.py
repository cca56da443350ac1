"""What a muted amplifier keeps from the horn: it is not back at once when it is un-muted.

One that the node drives is mute when the node says so; another mutes by itself in silence.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

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


def audible(
    spans: Iterable[DaySpan],
    release_s: float,
    unmuted: Sequence[tuple[float, float]] | None = None,
) -> Iterator[Audible]:
    """Yield what left the horn of one pole.

    Parameters
    ----------
    spans : iterable of DaySpan
        All of the pole, in order; in what no span covers nothing sounded.
    release_s : float
        Of the amplifier's profile, s: so long after it was un-muted it is still mute.
    unmuted : sequence of (float, float), optional
        From when to when the node held it un-muted, s, in order. None: it mutes by itself, from the
        end of a sound to the first sample of the next. How long it waits before that is not in its
        profile, so it is taken not to wait.
    """
    if unmuted is not None:
        yield from _driven(spans, release_s, unmuted)
        return
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


def _driven(
    spans: Iterable[DaySpan], release_s: float, unmuted: Sequence[tuple[float, float]]
) -> Iterator[Audible]:
    """Yield what left the horn while the node held the amplifier un-muted."""
    for span in spans:
        if span.played_dba is None:
            continue
        for begin_s, end_s in unmuted:
            from_s = max(span.from_s, begin_s + release_s)
            until_s = min(span.until_s, end_s)
            if from_s < until_s:
                whole = until_s == span.until_s
                heard = span if whole else replace(span, until_s=until_s)
                yield Audible(heard, from_s - span.from_s, span.played_dba)
