"""A modem that sleeps: what is pushed to it after a silence waits until it has been woken.

```
 last packet ─── active ───┬── sleeping between its ears ──┬── idle: paged, then connected anew ──►
                     after_s                     idle_after_min_s to _max_s
```
What the modem sends itself makes it active; what that costs it is not in the figures: left out.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hw_profiles import Number
from hw_profiles.model import figures, not_negative
from node.config import check
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import between, raw_draws

_DRAWS: Final = 3
_ALWAYS: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """When a modem sleeps, and how long it takes to be woken (table `[sleep]` of a bearer)."""

    after_s: Number
    """Silent for so long it listens only now and then."""

    asleep_max_ms: Number
    """What that adds at the most; evenly spread from 0."""

    idle_after_min_s: Number
    idle_after_max_s: Number
    """Silent for so long it gives its connection back; evenly spread."""

    idle_min_ms: Number
    idle_max_ms: Number
    """What paging and connecting anew add; evenly spread."""

    rare_pct: Number
    rare_ms: Number
    """Now and then it is so long instead."""

    def __post_init__(self) -> None:
        rules = not_negative(self)
        pairs = (("idle_min_ms", "idle_max_ms"), ("idle_after_min_s", "idle_after_max_s"))
        for low, high in (*pairs, ("after_s", "idle_after_min_s")):
            least, most = getattr(self, low).value, getattr(self, high).value
            rules[f"{high}.value"] = (least <= most <= 1e6, most, f"{low} = {least:g} to 1e6")
        share = self.rare_pct.value
        rules["rare_pct.value"] = (0 <= share <= 100, share, "0 to 100")
        check("bearer.sleep", rules)

    def figures(self) -> list[tuple[str, Number]]:
        """Return (field, figure) of every number."""
        return [(f"sleep.{name}", one) for name, one in figures(self) if isinstance(one, Number)]

    def wake_ns(self, silent_ns: int, bits: np.random.PCG64) -> int:
        """Return how long what comes after a silence waits; takes three draws of `bits`."""
        raw = raw_draws(bits, _DRAWS)
        if silent_ns < _ns(self.after_s, NS_PER_S):
            return 0
        first_ns, last_ns = (
            _ns(one, NS_PER_S) for one in (self.idle_after_min_s, self.idle_after_max_s)
        )
        if silent_ns < int(between(raw[:1], first_ns, last_ns)[0]):
            return int(between(raw[1:2], 0, _ns(self.asleep_max_ms, NS_PER_MS))[0])
        if int(raw[2] >> np.uint64(32)) < self.rare_pct.value / 100 * _ALWAYS:
            return _ns(self.rare_ms, NS_PER_MS)
        low_ns, high_ns = (_ns(one, NS_PER_MS) for one in (self.idle_min_ms, self.idle_max_ms))
        return int(between(raw[1:2], low_ns, high_ns)[0])


class Modem:
    """One modem under way."""

    def __init__(self, sleep: Sleep, bits: np.random.PCG64) -> None:
        self._sleep = sleep
        self._bits = bits
        self._active_ns = 0
        """When it was, or will be, active last."""

    def pushed(self, at_ns: int) -> int:
        """Return when it can take a packet that comes for it at `at_ns`."""
        if at_ns > self._active_ns:
            at_ns += self._sleep.wake_ns(at_ns - self._active_ns, self._bits)
        self._active_ns = max(self._active_ns, at_ns)
        return self._active_ns

    def sends(self, at_ns: int) -> None:
        """Note that it sends something."""
        self._active_ns = max(self._active_ns, at_ns)


def _ns(figure: Number, unit_ns: int) -> int:
    return round(figure.value * unit_ns)
