"""Places in a table that several authorities fill: who gets one, and who has to make room.

```
 level   root  national  province  commune  hamlet        of 16 places for four tiers, 3 each
 places   16      13        10        7        4           are for those above: an authority fills
                                                           no more than its tier and all below may
```
What a lower authority holds never keeps a higher one out, whatever it holds and however urgent it
calls it. Within the limits the urgent evict the waiting, and among equals the higher tier the
lower one; nobody evicts what is of a tier above.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a place, or asks for one."""

    level: int
    """Index into the tiers; -1 for the root."""
    urgency: int
    """Greater goes first."""
    key_id: bytes


@dataclass(frozen=True, slots=True)
class Shares:
    """The limits of one table.

    Parameters
    ----------
    places : int
        All that it holds.
    tiers : int
        How many tiers of authority there are.
    each : int
        Most that one key may hold.
    """

    places: int
    tiers: int
    each: int

    def quota(self, level: int) -> int:
        """Return how many places the tier `level` and all below it may fill together."""
        reserve = self.places // (self.tiers + 1)
        return self.places - reserve * min(level + 1, self.tiers)

    def make_room(self, held: Sequence[Claim], new: Claim) -> tuple[int, ...] | None:
        """Return which of `held` must go so that `new` finds a place; None when it finds none.

        At most one goes for each limit that `new` would break.
        """
        gone: list[int] = []
        for first in range(new.level, -2, -1):
            inside = [i for i, one in enumerate(held) if one.level >= first and i not in gone]
            if len(inside) >= self.quota(first) and not _evict(held, inside, new, gone):
                return None
        mine = [i for i, one in enumerate(held) if one.key_id == new.key_id and i not in gone]
        if len(mine) >= self.each and not _evict(held, mine, new, gone):
            return None
        return tuple(gone)


def _evict(held: Sequence[Claim], among: list[int], new: Claim, gone: list[int]) -> bool:
    """Add the least of `among` to `gone` if `new` may evict it; return whether it may."""
    lesser = [
        i for i in among if held[i].level >= new.level and _standing(held[i]) < _standing(new)
    ]
    if not lesser:
        return False
    gone.append(min(lesser, key=lambda i: (*_standing(held[i]), i)))
    return True


def _standing(one: Claim) -> tuple[int, int]:
    return (one.urgency, -one.level)
