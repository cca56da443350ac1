"""What became of one order at each pole, by the records that the poles' own keys vouch for."""

from collections.abc import Mapping

import msgspec

from node.control.calendar.play_state import Record
from node.control.orders import read_session
from node.control.proof.proof import Entry
from node.control.proof.self_tests import WRITER as SELF_TEST
from node.control.sessions import record_name
from node.control.trust.message import Kind, Message
from node.control.warning.short_alert import identifier_of
from node.shell.poles.ledger import LINE_BYTES_MAX, Ledger
from node.shell.poles.pole_list import Pole
from node.shell.poles.readable import short_number
from node.shell.poles.roster import printable


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
        self._name = _record_name(order)
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
        named = self._name is None or record.name == self._name
        return own and named and record.ended_s >= self._order.issued_s


def outcome_told(record: Record) -> str:
    """Return in a line what became of it, and by what that is known."""
    by = record.heard_by if isinstance(record.heard_by, str) else "nothing told"
    reason = f", {record.reason}" if record.reason else ""
    return printable(f"{record.outcome}, {record.sounded_s} s{reason} ({by})", LINE_BYTES_MAX)


def _record_name(order: Message) -> str | None:
    """Return what its record is called; None: anything."""
    if order.kind is Kind.SELF_TEST:
        return SELF_TEST
    if order.kind is Kind.SHORT_ALERT:
        return identifier_of(short_number(order.content))
    if order.kind is Kind.SESSION and (session := read_session(order)) is not None:
        return record_name(session.ssrc)
    return None
