"""Whether an item may play now: hours, mutes, the right of who ordered it, places, minutes."""

from dataclasses import dataclass

from node.control.calendar.play_state import Outcome
from node.control.calendar.programme import ItemConfig
from node.control.calendar.shared_day import SharedDay
from node.control.civil_time import NO_TIME, Least
from node.control.loudness.regulation import Regulation
from node.control.mute import NOBODY
from node.control.precedence import MessageClass
from node.control.trust.ordered_by import OrderedBy
from node.control.trust.shares import Claim


@dataclass(slots=True)
class Leave:
    """What decides for the items of one calendar."""

    shared: SharedDay
    regulation: Regulation
    tiers: tuple[str, ...]
    level: int
    """Tier that ordered the calendar; -1 for the node's own file and the root."""
    by: OrderedBy | None = None
    """Who did; None for the node's own file."""
    muted: tuple[tuple[int, ...], str] = ((NOBODY,) * len(MessageClass), "")
    """From which tier on, by class, and by whom."""
    least: Least = NO_TIME
    """The least that civil time can be."""

    def why_not(self, item: ItemConfig, utc_s: int) -> tuple[Outcome, str] | None:
        """Return why `item` must not start now, or None."""
        if not self.shared.has_place(self.claim(item)):
            return "missed", "too many items at once"
        refused = self.hours(item, utc_s)
        if refused is None and self.is_muted(item):
            refused = f"muted by {self.muted[1]}"
        if refused is None:
            refused = self.no_right(item)
        if refused is None and item.message_class_value is not MessageClass.URGENT:
            refused = self.shared.too_many_minutes(self.level, item.duration_s, utc_s)
        return None if refused is None else ("refused", refused)

    def hours(self, item: ItemConfig, utc_s: int) -> str | None:
        """Return which rule forbids it at this time of the day, or None."""
        local = self.shared.local(utc_s)
        rule = self.regulation.refused_hours(local, item.message_class_value)
        return None if rule is None else f"outside the hours of {rule}"

    def no_right(self, item: ItemConfig) -> str | None:
        """Return why who ordered it may not play it any more, or None."""
        by = self.by
        return None if by is None else by.refusal(item.message_class_value, self.least)

    def is_muted(self, item: ItemConfig) -> bool:
        """Return whether somebody silenced what is of its class and tier."""
        level = len(self.tiers)
        if item.level in self.tiers:
            level = self.tiers.index(item.level)
        return self.muted[0][item.message_class_value] <= level

    def claim(self, item: ItemConfig) -> Claim:
        """Return what it asks a place for: as whoever ordered it, whatever tier it names."""
        return Claim(self.level, item.message_class_value, str(self.level).encode())
