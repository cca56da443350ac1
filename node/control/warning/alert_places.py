"""How many warnings are open at one node, whose, and which goes before which."""

from collections.abc import Sequence
from typing import Final

from node.control.civil_time import Least
from node.control.trust.shares import Claim, Shares
from node.control.warning.alert import Alert

OPEN_MAX: Final = 32
"""Warnings waiting or sounding at once."""

EACH_MAX: Final = 16
"""Of one key."""

RUNS_MAX: Final = 8
"""Warnings begun at once; the arbiter lets one of them sound."""


class AlertPlaces:
    """The places for open warnings, shared among the tiers."""

    def __init__(self, tiers: tuple[str, ...]) -> None:
        self._tiers = tiers
        self._shares = Shares(OPEN_MAX, len(tiers), EACH_MAX)

    def level(self, alert: Alert) -> int:
        """Return the number of its tier; an unknown one is below all."""
        return self._tiers.index(alert.level) if alert.level in self._tiers else len(self._tiers)

    def doubted(self, alert: Alert, least: Least, *, trusted: bool) -> Least | None:
        """Return the least that the time can be, where it is not known for the tier of `alert`."""
        return None if trusted and not least.doubts(self.level(alert)) else least

    def room(
        self, held: Sequence[Alert], new: Alert, utc_s: int, *, trusted: bool
    ) -> tuple[int, ...] | None:
        """Return which of `held` must go so that `new` finds a place; None when it finds none."""
        claims = [self._claim(one, utc_s, trusted=trusted) for one in held]
        return self._shares.make_room(claims, self._claim(new, utc_s, trusted=trusted))

    def standing(self, alert: Alert) -> tuple[int, int]:
        """Return what it is worth where not all can sound: class, then tier; greater goes first."""
        return (alert.message_class, -self.level(alert))

    def _claim(self, alert: Alert, utc_s: int, *, trusted: bool) -> Claim:
        """Return its claim to a place: of one class what is in force goes before what waits."""
        in_force = not trusted or alert.effective_s <= utc_s
        urgency = 2 * alert.message_class + in_force
        return Claim(self.level(alert), urgency, alert.signed_by.encode())
