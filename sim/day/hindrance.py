"""What stood between an order and a pole: the same words for either way of living a day."""

from collections.abc import Iterable, Sequence

from sim.gateway.power import Uptime

Span = tuple[int, int]


def hindrances(
    span: Span,
    power: Sequence[Uptime],
    link_cuts_ns: Iterable[Span],
    broker_cuts_ns: Iterable[Span],
) -> list[tuple[int, str]]:
    """Return what was in the way meanwhile, each with its first moment, in the order of time.

    Nobody says of a link that it was down while there was no power, nor of a broker that it was
    away while there was no link: who has mended the one would not have had the order.

    Parameters
    ----------
    span : (start, end)
        From the order until it came, or was void; ns.
    power : sequence of Uptime
        When the node ran.
    link_cuts_ns, broker_cuts_ns : iterable of (start, end)
        When its link was down, and when nobody handed orders out.
    """
    on = _both([span], [(one.start_ns, one.end_ns) for one in power])
    met = [(start, "no power") for start, _ in _without([span], on)[:1]]
    down = _both(on, link_cuts_ns)
    met += [(start, "no link") for start, _ in down[:1]]
    away = _both(_without(on, down), broker_cuts_ns)
    met += [(start, "no broker") for start, _ in away[:1]]
    return sorted(met)


def _both(some: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return when both are, ascending."""
    other = list(others)
    shared = [(max(a, c), min(b, d)) for a, b in some for c, d in other]
    return sorted((start, end) for start, end in shared if start < end)


def _without(some: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return when some are and the others are not, ascending."""
    left = sorted((a, b) for a, b in some if a < b)
    for start, end in others:
        parts = [part for a, b in left for part in ((a, min(b, start)), (max(a, end), b))]
        left = [(a, b) for a, b in parts if a < b]
    return left
