"""Whether a node could read an order, asked before it is signed: no officer waits for nothing."""

from typing import Final

from node.config import ConfigError, build
from node.control.calendar.programme import ProgrammeConfig
from node.control.loudness.schedule import VolumeConfig
from node.control.plan_text import read_plan_text
from node.control.warning.cap import parse_cap

_NUMBER_AT: Final = 10  # version, flags and event code are before it
_NUMBER_BYTES: Final = 8


def cap_fault(document: bytes) -> str | None:
    """Return why a node would refuse a CAP document whatever it is set to, or None."""
    read = parse_cap(document)
    return read if isinstance(read, str) else None


def cap_doubts(document: bytes) -> tuple[str, ...]:
    """Return what of a CAP document nodes cannot read or do not find, though they obey it."""
    read = parse_cap(document)
    return () if isinstance(read, str) else (*read.faults, *read.notes)


def plan_fault(content: bytes, what: str) -> str | None:
    """Return what is wrong with a calendar or a volume plan (TOML), or None."""
    try:
        table = read_plan_text(content)
    except ConfigError as fault:
        return str(fault)
    errors: list[str] = []
    if what == "volume":
        build(VolumeConfig, table, where="volume", errors=errors, what="volume")
    else:
        build(ProgrammeConfig, table, where="calendar", errors=errors, what="programme")
    return "; ".join(errors)[:500] or None


def short_number(content: bytes) -> int:
    """Return the number of a short alert that `encode_short` made."""
    return int.from_bytes(content[_NUMBER_AT : _NUMBER_AT + _NUMBER_BYTES], "big")
