"""The way of an order from bytes to obedience: open, authorise, once, in time, for here.

What will act is kept first (`ahead`), and its counter with what it changed. Certificates,
revocations and beacons it handles by itself; they are kept as signed bytes and checked again at
every start.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from node.control.civil_time import DAY_S, NO_TIME, CivilClock, Least
from node.control.precedence import MessageClass
from node.control.trust.ahead import Ahead
from node.control.trust.asked_time import AskedTime
from node.control.trust.authority import EMERGENCY_S, Authority, AuthorityBook, within
from node.control.trust.fates import TOO_FEW
from node.control.trust.kept_revocations import KeptRevocations
from node.control.trust.lost_counters import LostCounters
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.once import ReplayGuard
from node.control.trust.order import Order, Refused, warrant_of
from node.control.trust.rates import ORDINARY, TOO_MANY, URGENT, Rates
from node.control.trust.roots import ROOT_PREFIX
from node.events import Persist, Publish
from node.units import NS_PER_S

CERTIFICATE_PREFIX: Final = "certificate/"
FLOOR_KEY: Final = "signed-time"

FUTURE_MAX_S: Final = DAY_S
"""An order issued later than this after our trusted time is not believed, unless it is urgent."""

AGREES_S: Final = 600
"""The date of an order proves the time when our own clock is no further from it."""

FLOOR_STEP_S: Final = 3600
"""A time that a signature proves is kept when it is so much later than the one before."""

BEACON_AHEAD_S: Final = 3600
"""A beacon later than this after our trusted time is refused: one of the two clocks is wrong."""

_TRUST_KINDS: Final = frozenset({Kind.CERTIFICATE, Kind.REVOCATION, Kind.BEACON, Kind.ROOT})
"""They act without a clock, and for nodes in part of their area too."""

_ANSWERS: Final = frozenset({Kind.ACKNOWLEDGEMENT, Kind.PROOF_HEAD})


class Gatekeeper:
    """Decide which orders of one node's network act.

    Parameters
    ----------
    book : AuthorityBook
        Who may order what; certificates and revocations go into it.
    area : str
        Of the node.
    clock : CivilClock
        Civil time; beacons raise its floor.
    stored : mapping of str to bytes
        What the shell kept.
    """

    def __init__(
        self,
        book: AuthorityBook,
        area: str,
        clock: CivilClock,
        stored: Mapping[str, bytes],
    ) -> None:
        self._book = book
        self._replay = ReplayGuard(stored)
        self._rates = Rates()
        self._ahead = Ahead(stored)
        self._asked = AskedTime()
        self._area = area
        self._clock = clock
        self._revocations = KeptRevocations(stored, book)
        self._events: list[Persist | Publish] = []
        self._restore(stored)
        floor_s = max(clock.floors_s().values(), default=0)
        self._lost = LostCounters(stored, damaged=bool(self._replay.damaged), floor_s=floor_s)

    def receive_time(self, now_ns: int) -> None:
        """Note that the clock was read: once it is believed, it says what was issued before."""
        if self._clock.is_own:
            kept = self._lost.receive_time(self._clock.utc_ns(now_ns) // NS_PER_S)
            self._events.extend(() if kept is None else (kept,))

    def receive_nonce(self, nonce: bytes, now_ns: int) -> None:
        """Take 16 bytes that nobody can guess, to ask for the time by if that is to be done.

        Without any, none is asked for.
        """
        if nonce and self._clock.wants_answer(now_ns) and self._asked.may_ask(now_ns):
            self._events.append(self._asked.ask(nonce, now_ns))

    def foresee(self, sealed: bytes, now_ns: int) -> Persist | None:
        """Return what is to be on the disk before `sealed` is received; None if it will not act.

        What concerns trust itself is the same however often it acts.
        """
        message = open_envelope(sealed)
        if isinstance(message, str) or message.kind in _ANSWERS | _TRUST_KINDS:
            return None
        signer = self._book.signer_of(message, self._clock.least(now_ns))
        if isinstance(signer, str) or not self._rates.has_room(*_limit(message), now_ns):
            return None
        will_act = self._refusal(message, signer, now_ns) is None
        return self._ahead.keep(message, sealed) if will_act else None

    def take_left(self) -> list[bytes]:
        """Return the orders that were kept before they acted, when the power failed."""
        left = self._ahead.take_left()
        self._events.extend(kept for kept, _ in left)
        return [sealed for _, sealed in left]

    def receive(self, sealed: bytes, now_ns: int) -> Order | Refused:
        """Return the order in `sealed`, or why it does not act. Never raises."""
        found = self._receive(sealed, now_ns)
        kept = None if found.message is None else self._ahead.forget(found.message)
        self._events.extend(() if kept is None else (kept,))
        return found

    def _receive(self, sealed: bytes, now_ns: int) -> Order | Refused:
        message = open_envelope(sealed)
        if isinstance(message, str):
            return Refused(message)
        if message.kind in _ANSWERS:
            return Refused("the answer of a node is no order")
        signer = self._book.signer_of(message, self._clock.least(now_ns))
        if isinstance(signer, str):
            return Refused(signer, message if signer == "unknown key" else None)
        if not self._rates.allow(*_limit(message), now_ns):
            return Refused(TOO_MANY, message, signer)
        refusal = self._refusal(message, signer, now_ns) or self._obey(
            message, signer, sealed, now_ns
        )
        if refusal is not None:
            return Refused(refusal, message, signer)
        lasts_s = min(message.ttl_s, EMERGENCY_S) if signer.emergency else message.ttl_s
        until_ns = now_ns + lasts_s * NS_PER_S
        level, by = self._book.level_name(signer), self._book.cosigners_of(message)
        return Order(message, signer, level, sealed, until_ns, by)

    def restore(self, sealed: bytes) -> Order | str:
        """Return a kept order after a restart: signature and authority hold, it is not new."""
        signed = self._signed(sealed)
        if isinstance(signed, str):
            return signed
        message, _ = signed
        by = self._book.cosigners_of(message)
        # What it may effect is asked at each effect, as it is while the node runs.
        holder = self._book.may(warrant_of(message, by), MessageClass.NORMAL, NO_TIME)
        if isinstance(holder, str):
            return holder
        return Order(message, holder, self._book.level_name(holder), sealed, 0, by)

    def next_event(self) -> Persist | Publish | None:
        """Return the oldest thing to keep or to send, or None."""
        return self._events.pop(0) if self._events else None

    def use_up(self, message: Message) -> None:
        """Let a message that `receive` gave act this once: called where it changes anything.

        What is refused and leaves nothing behind keeps its counter: the same order acts when it
        is signed by enough, or what it lacked is there.
        """
        kept = self._replay.advance(message.key_id, message.counter, self._book)
        self._events.extend(Persist(*one) for one in kept)

    def _refusal(self, message: Message, signer: Authority, now_ns: int) -> str | None:
        """Return why a genuine message does not act, or None."""
        if message.kind is Kind.ROOT:
            return None  # it says itself from when and until when: a node may have been off
        if message.issued_s < signer.from_s:
            return "its root holds only later"
        once = self._replay.refusal(message.key_id, message.counter)
        if once is None:
            self._note_time(message, signer, now_ns)
        least = self._clock.least(now_ns)
        warrant = warrant_of(message, self._book.cosigners_of(message))
        authority = self._book.may(warrant, message.message_class, least)
        if isinstance(authority, str):
            return authority
        if not self._for_here(message):
            return "not for here"
        return self._not_in_time(message, signer, now_ns) or once

    def _not_in_time(self, message: Message, signer: Authority, now_ns: int) -> str | None:
        """Return why the time forbids it. An urgent order waits for no clock, nor is one believed
        that says that it comes from the future.
        """
        utc_s = self._clock.least(now_ns).at(signer.level)
        if utc_s >= message.issued_s + message.ttl_s:
            return "its time to live is over"
        if self._lost.may_be_old(message):
            return "issued before this node lost its counters"
        urgent = message.message_class is MessageClass.URGENT
        if urgent or message.kind in _TRUST_KINDS:
            return None
        if not self._clock.trusted:
            return "not urgent while the time is not known"
        return "issued in the future" if message.issued_s > utc_s + FUTURE_MAX_S else None

    def _for_here(self, message: Message) -> bool:
        if message.kind in _TRUST_KINDS:
            return within(self._area, message.area) or within(message.area, self._area)
        return within(self._area, message.area)

    def _note_time(self, message: Message, signer: Authority, now_ns: int) -> None:
        """Let the date of an order that agrees with our clock be the floor: two clocks say so.

        Then what this tier or a lower one said of a later time was wrong.
        """
        own_ns = self._clock.shown_ns(now_ns)
        if own_ns is None or not self._book.may_give_time(signer):
            return
        if abs(message.issued_s - own_ns // NS_PER_S) > AGREES_S:
            return
        if self._clock.disprove(signer.level, now_ns):
            self._keep_floors()
        agreed_s = min(message.issued_s, own_ns // NS_PER_S)
        self._raise_floor(signer.level, agreed_s, now_ns, step_s=FLOOR_STEP_S)

    def _raise_floor(self, level: int, utc_s: int, now_ns: int, *, step_s: int) -> None:
        if utc_s - self._clock.floors_s().get(level, 0) >= max(step_s, 1):
            self._clock.receive_floor(utc_s * NS_PER_S, now_ns, level=level)
            self._keep_floors()

    def _keep_floors(self) -> None:
        floors = {str(level): seconds for level, seconds in self._clock.floors_s().items()}
        self._events.append(Persist(FLOOR_KEY, msgspec.json.encode(floors)))

    def _obey(self, message: Message, signer: Authority, sealed: bytes, now_ns: int) -> str | None:
        """Act on what concerns trust itself; return why not."""
        if message.kind is Kind.ROOT:
            return self._follow_root(message, sealed)  # is the same however often it comes
        refusal: str | None = None
        if message.kind is Kind.CERTIFICATE:
            refusal = self._learn(message, signer, sealed)
        elif message.kind is Kind.REVOCATION:
            refusal = self._revoke(message, signer, sealed)
        elif message.kind is Kind.BEACON:
            refusal = self._take_time(message, signer, now_ns)
        if refusal is None and message.kind in _TRUST_KINDS:
            self.use_up(message)
        return refusal

    def _follow_root(self, message: Message, sealed: bytes) -> str | None:
        """Let another root follow; return why not."""
        changed = self._book.receive_root(message)
        if isinstance(changed, str):
            return changed
        if changed:
            self._events.append(Persist(ROOT_PREFIX + message.key_id.hex(), sealed))
            self._forget_dropped()
        return None

    def _take_time(self, message: Message, signer: Authority, now_ns: int) -> str | None:
        """Take a beacon. A clock that is trusted is not moved by it: nothing that plays ends."""
        if not self._book.may_give_time(signer):
            return "may not give the time"
        issued_s, own_s = message.issued_s, self._clock.utc_ns(now_ns) // NS_PER_S
        if self._clock.is_own and issued_s > own_s + BEACON_AHEAD_S:
            return "ahead of this node's clock"
        if self._clock.is_own:
            issued_s = min(issued_s, own_s)
        warrant = warrant_of(message, self._book.cosigners_of(message))
        then = Least.known(issued_s)  # by its own date its certificate must hold
        holder = self._book.may(warrant, message.message_class, then)
        if isinstance(holder, str):
            return holder
        self._raise_floor(signer.level, issued_s, now_ns, step_s=0)
        if self._asked.is_answer(message.content, now_ns):
            utc_ns = self._asked.take(message.content, now_ns)
            self._clock.receive_answer(utc_ns, now_ns, level=signer.level)
        return None

    def _learn(self, message: Message, signer: Authority, sealed: bytes) -> str | None:
        counter = message.counter
        by = self._book.cosigners_of(message)
        learnt = self._book.receive_certificate(
            signer, message.content, counter=counter, cosigners=by
        )
        self._revocations.recall(self._signed)
        self._forget_dropped()
        if isinstance(learnt, str):
            return learnt
        if learnt.key_id in self._book:
            self._events.append(Persist(CERTIFICATE_PREFIX + learnt.key_id.hex(), sealed))
        return None

    def _revoke(self, message: Message, signer: Authority, sealed: bytes) -> str | None:
        before = self._book.revoked_by(message.key_id)
        revoked = self._book.receive_revocation(signer, message.content)
        if not isinstance(revoked, str):
            self._events.extend(self._revocations.keep(message, sealed, before))
        self._events.extend(self._revocations.let_go())
        self._forget_dropped()
        return revoked if isinstance(revoked, str) else None

    def _signed(self, sealed: bytes) -> tuple[Message, Authority] | str:
        """Return a kept message and whose it is, or why it is of nobody known."""
        message = open_envelope(sealed)
        if isinstance(message, str):
            return message
        signer = self._book.signer_of(message, kept=True)
        return signer if isinstance(signer, str) else (message, signer)

    def _forget_dropped(self) -> None:
        """Take the certificates of those who lost their authority off the disk."""
        for key in self._book.take_dropped():
            self._rates.forget(key)
            if key not in self._book:
                self._events.append(Persist(CERTIFICATE_PREFIX + key.hex(), b""))

    def _restore(self, stored: Mapping[str, bytes]) -> None:
        """Build the chain again from its signed bytes, parents before children."""
        for level, seconds in kept_floors(stored.get(FLOOR_KEY, b"")).items():
            self._clock.receive_floor(seconds * NS_PER_S, level=level)
        self._restore_roots(stored)
        waiting = [v for k, v in sorted(stored.items()) if k.startswith(CERTIFICATE_PREFIX) and v]
        progress = True
        while progress:
            progress = False
            for sealed in list(waiting):
                # Who signed it may have been narrowed since: what it names must fit into that.
                signed = self._signed(sealed)
                if isinstance(signed, str):
                    continue
                message, signer = signed
                counter, by = message.counter, self._book.cosigners_of(message)
                learnt = self._book.receive_certificate(
                    signer, message.content, counter=counter, cosigners=by
                )
                if learnt == TOO_FEW:
                    continue  # who signed it besides comes after it
                waiting.remove(sealed)
                progress = True
        self._revocations.recall(self._signed)
        self._forget_dropped()

    def _restore_roots(self, stored: Mapping[str, bytes]) -> None:
        """Follow the roots again, each before what it says of the next."""
        left = [v for k, v in sorted(stored.items()) if k.startswith(ROOT_PREFIX) and v]
        progress = True
        while progress:
            progress = False
            for sealed in list(left):
                signed = self._signed(sealed)
                if not isinstance(signed, str) and self._book.receive_root(signed[0]) is True:
                    left.remove(sealed)
                    progress = True


def _limit(message: Message) -> tuple[bytes, tuple[int, int]]:
    """Return whose orders of this kind are counted together, and how many there may be."""
    urgent = message.message_class is MessageClass.URGENT
    return message.key_id, URGENT if urgent else ORDINARY


def kept_floors(kept: bytes) -> dict[int, int]:
    """Return the floors by tier, in seconds, as they were kept under `FLOOR_KEY`; none of a value
    that is damaged: signatures will raise them.
    """
    try:
        floors = msgspec.json.decode(kept, type=dict[str, int]) if kept else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {int(level): s for level, s in floors.items() if level.lstrip("-").isdigit()}
