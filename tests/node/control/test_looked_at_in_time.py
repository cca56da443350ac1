"""A node that sleeps until its next deadline does all that one does that is looked at each second.

Whoever drives it tells the clock each minute while the time is known, each second while it is not,
at once when it was stepped, and before what is due: as the shell does.
"""

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.events import SourceAllowed, SourceEnded, StartPart, StopPart
from node.control.orders import Session
from node.control.proof.record_keeper import TOPIC
from node.control.trust.authority import Certificate, Revocation
from node.control.trust.message import Kind
from node.control.warning.short_alert import encode_short
from node.events import Note, Persist, Publish
from node.units import NS_PER_S
from tests.node.control.test_controller import (
    AREA,
    CALENDAR,
    COMMUNE,
    PRIORITY,
    PROVINCE,
    URGENT,
    Village,
)

BEGIN = "2025-12-07T05:25:00"
HALF_NS = NS_PER_S // 2


class Driven(Village):
    """A node whose card plays the highest of what it is given, with a diary of what it did."""

    def __init__(self, *, sleeps):
        self.sleeps = sleeps
        self.trusted, self.has_card = True, True
        self.granted = ()
        self.diary = []
        self.told_ns = 0
        super().__init__(BEGIN)

    def boot(self, *, trusted=True):
        self.trusted = trusted
        self.granted = ()
        super().boot(trusted=trusted)
        self.node.receive_sink(self.now_ns, sounds=self.has_card)
        self.take()

    def read_clock(self, *, trusted=True):
        self.told_ns = self.now_ns
        super().read_clock(trusted=trusted)

    def take(self):
        while True:
            while (event := self.node.next_event()) is not None:
                self.note(event)
            order = sorted(self.stored, key=lambda one: (-self.stored[one], one))
            granted = tuple(order[:1]) if self.has_card else ()
            if granted == self.granted:
                return
            self.granted = granted
            self.node.receive_grants(granted, self.now_ns)

    def note(self, event):
        if isinstance(event, Persist):
            self.disk[event.key] = event.value
            if not event.value:
                del self.disk[event.key]
        elif isinstance(event, StartPart):
            self.stored[event.source] = event.message_class
            self.write("start", event.name, event.kind)
        elif isinstance(event, StopPart):
            self.stored.pop(event.source, None)
            self.write("stop", event.source)
        elif isinstance(event, SourceAllowed | SourceEnded):
            self.write(type(event).__name__, event.source)
        elif isinstance(event, Note):
            self.write("note", event.text)
        elif isinstance(event, Publish) and event.topic == TOPIC:
            record = msgspec.json.decode(event.payload)["record"]
            self.write("record", record["name"], record["outcome"], record["reason"])

    def write(self, *what):
        self.diary.append((self.now_ns, what))

    def go_on(self, seconds):
        end_ns = self.now_ns + seconds * NS_PER_S
        while True:
            every_ns = 60 * NS_PER_S if self.sleeps and self.knows_time() else NS_PER_S
            tell_ns = self.told_ns + every_ns
            if not self.sleeps:  # the ticks are on whole seconds, orders between them
                tell_ns = (self.now_ns // NS_PER_S + 1) * NS_PER_S
            due_ns = self.node.next_deadline_ns()
            next_ns = tell_ns if due_ns is None else min(tell_ns, max(due_ns, self.now_ns))
            if next_ns > end_ns:
                self.now_ns = end_ns
                return
            self.now_ns = next_ns
            if next_ns == tell_ns or self.now_ns - self.told_ns >= NS_PER_S:
                self.read_clock(trusted=self.trusted)
            if due_ns is not None and due_ns <= self.now_ns:
                self.node.handle_deadline(self.now_ns)
                self.take()

    def knows_time(self):
        return self.trusted and bool(self.node.status(self.now_ns)["clock_trusted"])

    def do(self, what, amount):
        if what == "calendar":
            self.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
        elif what in ("mute", "unmute"):
            kind = Kind.MUTE if what == "mute" else Kind.UNMUTE
            self.order(PROVINCE if amount % 2 else COMMUNE, kind, ttl_s=60 + amount)
        elif what == "boot":
            self.boot(trusted=amount % 3 > 0)
        elif what == "certificate":
            until_s = (self.now_ns + self.offset_ns) // NS_PER_S + 30 + amount
            claim = Certificate("x", COMMUNE.public_key, "commune", AREA, PRIORITY, until_s)
            self.order(PROVINCE, Kind.CERTIFICATE, msgspec.json.encode(claim), area="vn/lang-son")
        elif what == "warning":
            kind = URGENT if amount % 2 else PRIORITY
            by = PROVINCE if amount % 2 else COMMUNE
            self.order(by, Kind.SHORT_ALERT, encode_short("alert", amount), message_class=kind)
        elif what == "session":
            session = msgspec.json.encode(Session(1000 + amount % 2))
            self.order(COMMUNE, Kind.SESSION, session, ttl_s=30 + amount)
        elif what == "beacon":
            self.order(PROVINCE, Kind.BEACON, area="vn/lang-son", late_s=300 - amount)
        elif what == "revoke":
            keys = msgspec.json.encode(Revocation((COMMUNE.key_id,)))
            self.order(PROVINCE, Kind.REVOCATION, keys, area="vn/lang-son")
        elif what == "flood":
            self.send(self.flood())
        elif what == "card":
            self.has_card = not self.has_card
            self.take()
            self.node.receive_sink(self.now_ns, sounds=self.has_card)
            self.take()
        elif what == "step":
            self.offset_ns += (amount - 300) * NS_PER_S
            self.read_clock(trusted=self.trusted)
        elif what == "clock":
            self.trusted = not self.trusted
            self.read_clock(trusted=self.trusted)


WHATS = [
    "calendar", "mute", "unmute", "boot", "certificate", "warning", "session", "card", "step",
    "clock", "beacon", "revoke", "flood",
]  # fmt: skip
HISTORIES = st.lists(
    st.tuples(st.sampled_from(WHATS), st.integers(0, 600), st.integers(0, 400)),
    min_size=2,
    max_size=8,
)


@settings(max_examples=25)
@given(HISTORIES)
@example([("calendar", 0, 1), ("mute", 540, 2), ("boot", 1, 900)])
@example([("calendar", 0, 330), ("certificate", 40, 300)])
@example([("calendar", 0, 1), ("card", 0, 400), ("card", 0, 900)])
@example([("flood", 0, 10), ("boot", 0, 1), ("beacon", 500, 900)])
@example([("warning", 1, 5), ("boot", 0, 900), ("boot", 1, 900)])
def test_nothing_is_noticed_later_than_by_who_looks_each_second(history):
    ticked, asleep = Driven(sleeps=False), Driven(sleeps=True)
    for one in (ticked, asleep):
        one.now_ns += HALF_NS
        for what, amount, seconds in history:
            one.do(what, amount)
            one.go_on(seconds)
        one.go_on(900)
    assert [what for _, what in asleep.diary] == [what for _, what in ticked.diary]
    for (late_ns, what), (at_ns, _) in zip(asleep.diary, ticked.diary, strict=True):
        assert late_ns <= at_ns + NS_PER_S, what
    assert asleep.node.lowest_class() == ticked.node.lowest_class()


def test_what_is_certified_for_ever_is_no_deadline():
    assert Village().node.next_deadline_ns() is None
