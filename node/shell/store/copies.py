"""Two copies of the store joined: what is whole in either is there, what is lost is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from node.control.trust.lost_counters import KEY as COUNTERS_LOST
from node.control.trust.lost_counters import UNKNOWN
from node.shell.store.one_copy import FileContent, Kept

TRUST_PREFIXES: Final = ("certificate/", "revocation/", "root/", "counters", "order/")
"""Keys without which old trust could come back: what revoked a key, what was used up."""

FORGOTTEN_PREFIXES: Final = ("certificate/", "order/")
"""What is given up when a revocation may be lost: nobody but the root speaks, until told again."""


@dataclass(slots=True)
class Joined:
    """What both copies together hold."""

    values: dict[str, Kept] = field(default_factory=dict)
    number: int = 0
    """The last batch that either copy tells of."""
    lost_keys: tuple[str, ...] = ()
    """Keys that are known to have been there."""
    lost_batches: int = 0
    """Changes of which nothing is known but that they were."""
    repaired: tuple[str, ...] = ()
    """Lines about a copy that was damaged while the other one helped."""

    @property
    def lost(self) -> bool:
        """Whether something is gone for good."""
        return bool(self.lost_keys or self.lost_batches)

    @property
    def trust_lost(self) -> bool:
        """Whether what is gone may be a revocation or a counter."""
        return self.lost_batches > 0 or any(k.startswith(TRUST_PREFIXES) for k in self.lost_keys)


def join(copies: Mapping[str, FileContent | None]) -> Joined:
    """Join `copies`, the first written first; None stands for a file that is not there."""
    there = [one for one in copies.values() if one is not None]
    joined = Joined(number=max((one.end for one in there), default=0))
    for one in there:
        for key, kept in one.values.items():
            before = joined.values.get(key)
            if before is None or before.number < kept.number:
                joined.values[key] = kept
    joined.number += _half_told(list(copies.values()), joined.number)
    joined.lost_keys, joined.lost_batches = _lost(joined, there)
    joined.repaired = tuple(_repairs(copies, joined))
    return joined


def after_loss(joined: Joined) -> dict[str, bytes]:
    """Return the values to go on with: without trust that something lost might have taken back,
    and with a mark that nobody knows which orders have acted.
    """
    if not joined.trust_lost:
        return {key: kept.value for key, kept in joined.values.items()}
    return {
        key: kept.value
        for key, kept in joined.values.items()
        if not key.startswith(FORGOTTEN_PREFIXES)
    } | {COUNTERS_LOST: UNKNOWN}


def _half_told(copies: list[FileContent | None], told: int) -> bool:
    """Return whether half a record at an end may be of a batch that was whole on the disk.

    It is what a power cut leaves if the other copy is whole and has all that is told of, but at
    most its last batches, for which that copy need not have waited. Of the second copy it is so
    only after such a batch: any other one is written to the first copy before.
    """
    first, second = copies
    if second is not None and second.torn and second.end == told:
        whole = first is not None and not (first.torn or first.damaged) and first.end == told
        return not (whole and first is not None and told in first.alone)
    if first is None or not first.torn or first.end != told:
        return False
    if second is None or second.torn or second.damaged:
        return True
    return not first.alone.issuperset(range(second.end + 1, told + 1))


def _lost(joined: Joined, there: list[FileContent]) -> tuple[tuple[str, ...], int]:
    """Return what neither copy has, measured against the copy that is the best witness."""
    if not there:
        return (), 0
    batches = set().union(*(one.batches for one in there))
    best: tuple[tuple[str, ...], int] | None = None
    for base, keys in (head for one in there for head in one.heads):
        known = joined.values
        gone = tuple(k for k, n in keys.items() if k not in known or known[k].number < n)
        missing = sum(number not in batches for number in range(base + 1, joined.number + 1))
        if best is None or (missing, len(gone)) < (best[1], len(best[0])):
            best = gone, missing
    return best if best is not None else ((), max(joined.number, 1))


def _repairs(copies: Mapping[str, FileContent | None], joined: Joined) -> list[str]:
    """Return a line for each copy that is not as it was written."""
    if all(one is None for one in copies.values()):
        return []
    lines = []
    for name, one in copies.items():
        if one is None:
            lines.append(f"{name}: the copy is not there")
        elif one.damaged or not one.heads:
            lines.append(f"{name}: damaged")
        elif one.end < joined.number - 1:
            lines.append(f"{name}: {joined.number - one.end} batches short")
    return lines
