"""Places in a table that several authorities fill: who gets one, and who has to make room.

```
 level   root  national  province  commune  hamlet        of 16 places for four tiers, 3 each
 places   16      13        10        7        4           are for those above: an authority fills
                                                           no more than its tier and all below may
```
What a lower authority holds never keeps a higher one out, whatever it holds and however urgent it
calls it: a place is judged among those of one's own tier and above, as if nobody were below. Then
those below make room. The urgent evict the waiting, and among equals the higher tier the lower one;
nobody evicts what is of a tier above. What is more urgent than what comes stays beside it, so that
a table may hold twice its places; only then it has to go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

OVERFLOW: Final = 2
"""How many times its places a table holds at most."""


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

        At most one of each tier goes for each limit that `new` would break.
        """
        gone: list[int] = []
        mine = [i for i, one in enumerate(held) if one.key_id == new.key_id]
        for among, most in [*self._limits(held, new, new.level), (mine, self.each)]:
            left = [i for i in among if i not in gone]
            if len(left) >= most and not _evict(held, left, new, gone):
                return None
        # Nothing of those below has kept it out. Now they make room, tier by tier: what one of
        # them holds does not hang on those below it either.
        lowest = max((one.level for one in held), default=new.level)
        for level in range(new.level + 1, lowest + 1):
            for among, most in self._limits(held, new, level):
                if sum(i not in gone for i in among) >= most:
                    _evict(held, [i for i in _of(held, level) if i not in gone], new, gone)
        if len(held) - len(gone) >= OVERFLOW * self.places:
            left = [i for i in range(len(held)) if i not in gone]
            gone.append(max(left, key=lambda i: (held[i].level, -held[i].urgency, -i)))
        return tuple(gone)

    def _limits(
        self, held: Sequence[Claim], new: Claim, lowest: int
    ) -> list[tuple[list[int], int]]:
        """Return, for each tier from that of `new` up, who is of it down to `lowest`, and how many
        may be.
        """
        return [
            ([i for i, one in enumerate(held) if first <= one.level <= lowest], self.quota(first))
            for first in range(new.level, -2, -1)
        ]


def _of(held: Sequence[Claim], level: int) -> list[int]:
    return [i for i, one in enumerate(held) if one.level == level]


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
