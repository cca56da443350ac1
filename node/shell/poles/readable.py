"""Whether a node could read an order, asked before it is signed: no officer waits for nothing."""

from typing import Final

from node.config import ConfigError, build
from node.control.calendar.programme import ProgrammeConfig
from node.control.loudness.schedule import VolumeConfig
from node.control.plan_text import read_plan_text
from node.control.settings import UTC_MAX_S
from node.control.warning.alert import AlertConfig
from node.control.warning.alert_blocks import class_of
from node.control.warning.cap import CapAlert, CapInfo, parse_cap

_OVER: Final = "it expires before now, by this clock: nodes take it as over; give a later expires"

_NUMBER_AT: Final = 10  # version, flags and event code are before it
_NUMBER_BYTES: Final = 8
_LASTS_AT: Final = 26
_LASTS_BYTES: Final = 4


def cap_fault(document: bytes) -> str | None:
    """Return why a node would refuse a CAP document wherever it stands, or None."""
    read = parse_cap(document)
    return read if isinstance(read, str) else _silence(read)


def cap_doubts(document: bytes, now_s: int) -> tuple[str, ...]:
    """Return what of a CAP document nodes cannot read or do not find, though they obey it.

    Parameters
    ----------
    document : bytes
        The document.
    now_s : int
        By this machine's clock, in s since 1970; that of the nodes may be another.
    """
    read = parse_cap(document)
    if isinstance(read, str):
        return ()
    ends_s = [_end_s(info, read.sent_s) for info in read.infos]
    is_over = read.message_type != "Cancel" and ends_s and max(ends_s) <= now_s
    over = (_OVER,) if is_over else ()
    return (*over, *read.faults, *read.notes)


def _end_s(info: CapInfo, sent_s: int) -> int:
    """Return when an info ends, by a node that was told nothing else of what has no end."""
    if info.expires_s is not None:
        return info.expires_s
    if not sent_s:
        return UTC_MAX_S  # it counts as sent when it is ordered
    return max(sent_s, info.effective_s or 0) + AlertConfig().expires_default_s


def _silence(cap: CapAlert) -> str | None:
    """Return why no node would sound, or end, anything for `cap`; None where one might."""
    if cap.status in ("System", "Draft"):
        return f"status {cap.status}: no node obeys that; Actual, or Exercise or Test for a trial"
    if cap.message_type in ("Ack", "Error"):
        return f"msgType {cap.message_type}: is for other stations; Alert, Update or Cancel"
    if cap.scope != "Public":
        return f"scope {cap.scope}: is not for loudspeakers; Public"
    if cap.message_type == "Cancel":
        return None
    if not cap.infos:
        return "; ".join(cap.faults)[:500] or "no info in it: what happens, how bad, and where"
    areas = [area for info in cap.infos for area in info.areas]
    has_place = any(one.everywhere or one.polygons or one.circles or one.geocodes for one in areas)
    if not has_place and (cap.faults or cap.message_type == "Alert"):
        return "; ".join([*cap.faults, "no area with a polygon, circle or geocode that is one"])[
            :500
        ]
    if cap.message_type == "Alert" and all(class_of(info) < 0 for info in cap.infos):
        return "nothing to sound: urgency Past or certainty Unlikely; a Cancel ends a warning"
    return None


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


def short_lasts_s(content: bytes) -> int:
    """Return how long a short alert that `encode_short` made is in force."""
    return int.from_bytes(content[_LASTS_AT : _LASTS_AT + _LASTS_BYTES], "big")
