"""One source's clock as a neighbour knows it, beside what the own exchange knows of it.

```
                       sender
      4G of operator A ╱    ╲ 4G of operator B        each exchange is wrong by half of what its own
                 leader ──── follower                 path's two ways differ, and cannot see it
                        local
```
Both are right to within half of a round trip, so neither is better; but two horns on one pole must
be wrong alike. A path as short as that between them is wrong by nothing that is heard: the follower
takes the leader's map, wherever this is fresh, came by a shorter path than its own and does not
contradict its own by more than both may err.

What the own map lacks to the neighbour's is learnt meanwhile. A neighbour that falls silent leaves
it behind: the own exchange goes on from there, and nothing moves. One that contradicts has it
forgotten, slowly, so that its reboot changes nothing. All that a neighbour can do, whatever it
says, is to shift the sound by `AWAY_MAX_NS`, slewed.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from node.clock.line import JUMP_NS
from node.units import NS_PER_3_SAMPLES, NS_PER_MS, NS_PER_S

AWAY_MAX_NS: Final = JUMP_NS // 2
"""More is not believed, however unsure the own exchange is: there and back is still no jump."""
FRESH_NS: Final = 5 * NS_PER_S
"""Four answers in a row may be lost; a line held for so long is off by some microseconds."""
TOLD_NS: Final = 60 * NS_PER_S
"""A node that has heard nothing of the sender for so long tells nothing."""

_LEARNT_NS: Final = 120 * NS_PER_S  # the shortest window of `offset_filter`: what its line wanders
_SHORTER: Final = 2  # a path that is not shorter by that much is no better, and may lose its lead
_SKEW_MAX_PPM: Final = 600.0  # two lines that differ by more are not of one sender


class SourceMap(Struct, frozen=True):
    """When, by the local clock, a media time was captured, and how both go on."""

    media_time_samples: int
    local_ns: int
    skew_ppm: float
    """Of the media clock against the local one, positive is fast."""
    uncertainty_ns: int

    def near(self, media_time_samples: int, *, then_samples: int = 0) -> "SourceMap":
        """Return the same map with its media time, of which 32 bits are known, near another.

        Where RTP timestamps are not believed, the media time lies `then_samples` after them.
        """
        away = (self.media_time_samples - media_time_samples + (1 << 31)) % (1 << 32) - (1 << 31)
        return replace(self, media_time_samples=media_time_samples + away + then_samples)

    def local_ns_of(self, media_time_samples: int) -> int:
        """Return when a media time was captured, or will be."""
        away_ns = (media_time_samples - self.media_time_samples) * NS_PER_3_SAMPLES / 3
        return self.local_ns + round(away_ns / (1.0 + 1e-6 * self.skew_ppm))


class NeighbourMap:
    """Chooses between the own map of one source and its neighbour's."""

    def __init__(self) -> None:
        self.rests = False
        """Whether the last map chosen was the neighbour's."""
        self.difference_ns = 0
        """By how much later than the own map the neighbour's was, when it was last heard."""
        self._own: SourceMap | None = None
        self._own_ns = 0
        self._told: SourceMap | None = None
        self._told_ns = 0
        self._link_ns = 0
        self._held_ns = 0.0
        self._learnt_ns = 0
        self._taken_ns = 0

    def receive(self, told: SourceMap, link_ns: int, now_ns: int) -> None:
        """Take what the neighbour says, in the node's own time.

        Parameters
        ----------
        told : SourceMap
            Its uncertainty is that of the neighbour's exchange.
        link_ns : int
            Uncertainty of the way between both.
        now_ns : int
            Now.
        """
        self._told = replace(told, uncertainty_ns=told.uncertainty_ns + link_ns)
        self._link_ns = link_ns
        self._told_ns = now_ns

    def choose(self, own: SourceMap, now_ns: int) -> SourceMap:
        """Return the map to play by, and keep the own one for `tell`."""
        self._own, self._own_ns = own, now_ns
        told = self._told
        self.rests = False
        if told is not None and self._is_near(own, now_ns):
            self.difference_ns = told.local_ns_of(own.media_time_samples) - own.local_ns
            self.rests = self._is_believed(own, told)
            self._learn(self.difference_ns if self.rests else 0, now_ns)
            if self.rests:
                away_ns = own.uncertainty_ns + abs(self.difference_ns)
                return replace(told, uncertainty_ns=min(told.uncertainty_ns, away_ns))
        held_ns = round(self._held_ns)
        if held_ns == 0:
            return own
        return replace(
            own,
            local_ns=own.local_ns + held_ns,
            uncertainty_ns=own.uncertainty_ns + abs(held_ns),
        )

    def tell(self, now_ns: int) -> SourceMap | None:
        """Return the own map for a neighbour that asks, or None without a fresh one.

        What was learnt of a neighbour is not in it: nothing can go round.
        """
        return self._own if now_ns - self._own_ns <= TOLD_NS else None

    def end_sound(self) -> None:
        """Forget both maps: the media time may begin anew. What was learnt of the clocks stays."""
        self._own = self._told = None
        self.rests = False

    def clear(self) -> None:
        """Forget everything: the sender's clock was set."""
        self.end_sound()
        self.difference_ns = 0
        self._held_ns = 0.0
        self._learnt_ns = 0

    def status(self, now_ns: int) -> dict[str, object] | None:
        """Return what is known of the neighbour's map, JSON-able; None before it told one."""
        if self._told is None:
            return None
        return {
            "rests": self.rests,
            "age_ms": max(0, now_ns - self._told_ns) // NS_PER_MS,
            "difference_ms": round(self.difference_ns / NS_PER_MS, 4),
            "held_ms": round(self._held_ns / NS_PER_MS, 4),
            "uncertainty_ms": round(self._told.uncertainty_ns / NS_PER_MS, 4),
        }

    def _is_near(self, own: SourceMap, now_ns: int) -> bool:
        """Return whether the neighbour was heard just now, and by a way that is worth it."""
        is_fresh = now_ns - self._told_ns <= FRESH_NS
        return is_fresh and _SHORTER * self._link_ns <= own.uncertainty_ns

    def _is_believed(self, own: SourceMap, told: SourceMap) -> bool:
        allowed_ns = min(own.uncertainty_ns + told.uncertainty_ns, AWAY_MAX_NS)
        is_one_clock = abs(told.skew_ppm - own.skew_ppm) <= _SKEW_MAX_PPM
        return is_one_clock and abs(self.difference_ns) <= allowed_ns

    def _learn(self, away_ns: int, now_ns: int) -> None:
        """Let what is held follow `away_ns`: its mean at first, later that of two minutes."""
        passed_ns = min(max(0, now_ns - self._taken_ns), FRESH_NS) if self._learnt_ns else 1
        self._taken_ns = now_ns
        self._learnt_ns = min(self._learnt_ns + passed_ns, _LEARNT_NS)
        share = passed_ns / self._learnt_ns if self._learnt_ns else 1.0
        self._held_ns += share * (away_ns - self._held_ns)
