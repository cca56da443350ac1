"""What became of one order at each pole, by the records that the poles' own keys vouch for."""

from collections.abc import Mapping
from typing import Final

import msgspec

from node.control.calendar.play_state import Record
from node.control.orders import read_session
from node.control.proof.proof import Entry
from node.control.proof.self_tests import WRITER as SELF_TEST
from node.control.sessions import record_name
from node.control.trust.message import Kind, Message
from node.control.warning.alert import name_of
from node.control.warning.alert_blocks import BLOCKS_MAX
from node.control.warning.cap import parse_cap
from node.control.warning.short_alert import identifier_of
from node.shell.poles.ledger import LINE_BYTES_MAX, Ledger
from node.shell.poles.pole_list import Pole
from node.shell.poles.readable import short_number
from node.shell.poles.roster import printable

RECORDED: Final = (Kind.CAP, Kind.SHORT_ALERT, Kind.SESSION, Kind.SELF_TEST)
"""Orders that leave a record of their own at each pole."""


class Outcomes:
    """Who played what was ordered, and by what that is known.

    Parameters
    ----------
    order : Message
        A warning, a live stream or a self-test: what leaves a record of its own.
    poles : mapping of str to Pole
        By whose keys records are believed.
    """

    def __init__(self, order: Message, poles: Mapping[str, Pole]) -> None:
        self._order = order
        self._names = _record_names(order)
        self._ledger = Ledger(poles)
        self.records: dict[str, Record] = {}

    def take(self, topic: str, payload: bytes) -> list[str]:
        """Take a message of the broker; return a line for each record that is believed now."""
        found = []
        for one in self._ledger.take(topic, payload):
            record = msgspec.json.decode(one.line, type=Entry).record if one.line else None
            if record is not None and self._is_of_it(record):
                self.records[one.name] = record
                found.append(f"{one.name}: {outcome_told(record)}")
        return found

    @property
    def not_played(self) -> list[str]:
        """Poles whose record says that it did not sound, or not to its end."""
        return sorted(name for name, one in self.records.items() if one.outcome != "played")

    def _is_of_it(self, record: Record) -> bool:
        own = record.signed_by == self._order.key_id.hex()
        return own and record.name in self._names and record.ended_s >= self._order.issued_s


def outcome_told(record: Record) -> str:
    """Return in a line what became of it, and by what that is known."""
    by = record.heard_by if isinstance(record.heard_by, str) else "nothing told"
    reason = f", {record.reason}" if record.reason else ""
    return printable(f"{record.outcome}, {record.sounded_s} s{reason} ({by})", LINE_BYTES_MAX)


def _record_names(order: Message) -> frozenset[str]:
    """Return what its records are called, several for a document of several blocks."""
    if order.kind is Kind.SELF_TEST:
        return frozenset((SELF_TEST,))
    if order.kind is Kind.SHORT_ALERT:
        return frozenset((identifier_of(short_number(order.content)),))
    if order.kind is Kind.SESSION and (session := read_session(order)) is not None:
        return frozenset((record_name(session.ssrc),))
    if order.kind is Kind.CAP and not isinstance(cap := parse_cap(order.content), str):
        return frozenset(name_of(cap.identifier, block) for block in range(BLOCKS_MAX))
    return frozenset()
