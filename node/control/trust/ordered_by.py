"""Who ordered a calendar, and whether they may still play what it says."""

from dataclasses import dataclass

from node.control.civil_time import Least
from node.control.precedence import MessageClass
from node.control.trust.authority import AuthorityBook, Warrant


@dataclass(frozen=True, slots=True)
class OrderedBy:
    """The authority behind a calendar; `book` is asked for each item when it is due."""

    name: str
    warrant: Warrant
    book: AuthorityBook

    def refusal(self, message_class: MessageClass, least: Least) -> str | None:
        """Return why an item of this class may not play now, or None."""
        holder = self.book.may(self.warrant, message_class, least)
        return f"{self.name}: {holder}" if isinstance(holder, str) else None
