"""One thing that was looked at, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["good", "note", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part of the installation."""

    part: str
    grade: Grade
    """`note`: it works, and will not for ever or not as well as it could."""
    text: str
    remedy: str = ""

    def line(self) -> str:
        """Return it as text for a person."""
        remedy = f"\n{'':24}-> {self.remedy}" if self.remedy else ""
        return f"{self.grade:6}{self.part:18}{self.text}{remedy}"


def good(part: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(part, "good", text)


def fault(part: str, text: str, remedy: str) -> Finding:
    """Return something that keeps the node from doing its work."""
    return Finding(part, "fault", text, remedy)


def note(part: str, text: str, remedy: str) -> Finding:
    """Return something that a person should know."""
    return Finding(part, "note", text, remedy)
