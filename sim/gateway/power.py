"""When a node runs: power cuts, and the boot after each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uptime:
    """The node runs, and plays what it gets, in [start_ns, end_ns)."""

    start_ns: int
    end_ns: int


def uptimes(cuts_ns: tuple[tuple[int, int], ...], *, boot_ns: int, end_ns: int) -> list[Uptime]:
    """Return when a node runs until `end_ns`; at time 0 it is up, unless the power is cut.

    Parameters
    ----------
    cuts_ns : tuple of (start, end)
        Power cuts in order, not overlapping.
    boot_ns : int
        From power on to a node that plays.
    end_ns : int
        End of the run.
    """
    found: list[Uptime] = []
    start_ns = 0
    for cut_ns, back_ns in cuts_ns:
        if start_ns < min(cut_ns, end_ns):
            found.append(Uptime(start_ns, min(cut_ns, end_ns)))
        start_ns = back_ns + boot_ns
    if start_ns < end_ns:
        found.append(Uptime(start_ns, end_ns))
    return found
