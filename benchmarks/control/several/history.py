"""Random histories in which several keys sign one order, roots follow one another, and the time is
asked for: each step is held against `truth`.

Three officers of the nation order what is urgent two or three together, below them stand a
province and a commune; the root is followed by a second and a third. Anybody may sign anything, in
the name of anybody; too few sign, or one twice; statements about roots lack a signature or name a
root that was not promised; answers come late, twice, to no question or by who may not give the
time; clocks are lost and the power fails. After each step nothing may go on without the signatures
that it needs, at that instant; who has them is not refused; and no clock was set by anybody else.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from benchmarks.control.orders_pole import HERE, NAME, TIERS
from benchmarks.control.several.drawn import Drawn
from benchmarks.control.several.keys import AREAS_OF, KEYS, OFFICERS, SIGNERS
from benchmarks.control.several.truth import FOR_EVER_S, ROOTS, Paper, Said, SeveralTruth
from node.control.orders import Session
from node.control.trust.asked_time import LIVES_NS, encode_answer
from node.control.trust.authority import Certificate, Revocation, Together
from node.control.trust.fates import TOO_FEW, is_good
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.roots import RootChange, digest_of
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S

STEPS: Final = 40
_NO_RIGHT: Final = frozenset(
    {TOO_FEW, "unknown key", "the certificate has ended", "above its class", "outside its area"}
)
_WAITS_S: Final = (1, 30, 30, 400, 700)


Judge = Callable[[str], None]
"""Holds the fate of one order against what is true."""


class SeveralHistory(Drawn):
    """Draw a history and follow it."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self._truth = SeveralTruth()
        self._asks = self._of((2, 2, 3))
        self._number = 0
        self._warnings: dict[tuple[str, str], Said] = {}
        self._sessions: dict[int, Said] = {}
        self._old: list[tuple[bytes, Kind, Judge]] = []
        self._done: set[bytes] = set()
        self._root_counters: dict[str, int] = {}
        self._refused: dict[bytes, tuple[Said, bytes]] = {}
        self._nonce, self._asked_ns = b"", 0
        self._clock = "own"
        self.violations: list[str] = []
        self.log: list[str] = []

    @property
    def orders(self) -> int:
        """Return how many orders the node was given."""
        return self._pole.sent

    def run(self, steps: int = STEPS) -> list[str]:
        """Let `steps` things happen; return the broken promises."""
        appointed = self._rng.random() < 0.5
        for key in KEYS:
            if key == "province" and appointed:
                self._certify(OFFICERS[0], key, frozenset(OFFICERS[1:]), 2)
            else:
                self._certify("root", key, frozenset(), 2)
        acts = (
            *(5 * (self._warn,)), *(3 * (self._cancel,)), *(3 * (self._session,)), self._replay,
            *(2 * (self._certificate, self._revoke)), self._follow, self._follow,
            self._follow, self._boot, self._lose_clock, self._find_clock, self._ask, self._answer,
            self._answer, self._wait, self._wait,
        )  # fmt: skip
        for _ in range(steps):
            acts[self._of(range(len(acts)))]()
            self._check()
            if self.violations:
                return self.violations
        for key in (*self._truth.followed, *KEYS):  # at the end each that may not tries once more
            if self._truth.may(key, frozenset(), HERE, 2, self._time_s()) is False:
                self._warn(key)
        self._check()
        return self.violations

    def _send(
        self, sealed: bytes, kind: Kind, *words: object, judge: Judge = lambda fate: None
    ) -> str:
        """Send an order; `judge` holds its fate against what is true, now and when it comes again:
        what was refused uses up nothing, and acts when what it lacked is there.
        """
        fate = self._pole.send(sealed)
        self.log.append(f"{kind.name} {' '.join(map(str, words))}: {fate}")
        self._old.append((sealed, kind, judge))
        if is_good(fate):
            self._done.add(sealed)
        judge(fate)
        return fate

    def _order(self, kind: Kind, content: bytes, most: int, key: str = "") -> tuple[str, Said]:
        """Send an order for here, by `key` or by anybody; hold its fate against who signed it."""
        first, besides = (key, []) if key else self._signers()
        sealed, by = self._seal(first, besides, kind, content, area=HERE, most=most)
        may = self._truth.may(first, by, HERE, most, self._time_s())
        level = self._truth.level(first)
        fate = self._send(sealed, kind, first, sorted(by), most)
        if may is False and fate not in _NO_RIGHT:
            self.violations.append(f"acted without a right: {self.log[-1]}")
        if may and fate in _NO_RIGHT and not self._is_early(first):
            self.violations.append(f"refused to who may: {self.log[-1]}")
        said = Said(first, by, most, level)
        self._refused[sealed] = (said, content)
        if is_good(fate):
            self._note(sealed)
        return fate, said

    def _note(self, sealed: bytes) -> None:
        """Note what an order that was obeyed has begun."""
        said, content = self._refused.pop(sealed)
        message = open_envelope(sealed)
        assert isinstance(message, Message), "it was sealed here"
        said = replace(said, level=self._truth.level(said.key))
        if message.kind is Kind.SHORT_ALERT and content[1] == 0:
            number = int.from_bytes(content[10:18], "big")
            self._warnings[f"{number:016x}", message.key_id.hex()] = said
        elif message.kind in (Kind.SESSION, Kind.SESSION_END):
            ssrc = msgspec.json.decode(content, type=Session).ssrc
            self._sessions.pop(ssrc, None)
            if message.kind is Kind.SESSION:
                self._sessions[ssrc] = said

    def _warn(self, by: str = "") -> None:
        self._number += 1
        content = encode_short("alert", self._number, lasts_s=3600)
        self._order(Kind.SHORT_ALERT, content, 2 if by else self._of((1, 2, 2, 2)), by)

    def _cancel(self) -> None:
        """Let somebody end a warning, mostly one that is in force."""
        open_ones = sorted(int(number, 16) for number, _ in self._pole.seen().warnings)
        about = open_ones[self._of(range(len(open_ones)))] if open_ones else 1
        self._number += 1
        content = encode_short("cancel", 1000 + self._number, about=about)
        before = self._pole.seen().warnings
        fate, said = self._order(Kind.SHORT_ALERT, content, self._of((1, 2, 2)))
        for gone in before - self._pole.seen().warnings:
            if gone in self._warnings and not self._truth.may_end(said, self._warnings[gone]):
                self.violations.append(f"ended by too few: {self.log[-1]}")
        for left in self._pole.seen().warnings:
            one = self._warnings.get(left)
            mine = one is not None and one.key == said.key and int(left[0], 16) == about
            if one is not None and mine and is_good(fate) and self._truth.may_end(said, one):
                self.violations.append(f"not ended by who may: {self.log[-1]}")

    def _session(self) -> None:
        ssrc, ends = self._of(range(1, 5)), self._rng.random() < 0.3
        kind = Kind.SESSION_END if ends else Kind.SESSION
        before = self._sessions.get(ssrc) if ssrc in self._pole.seen().open else None
        fate, said = self._order(kind, msgspec.json.encode(Session(ssrc)), self._of((1, 2, 2)))
        if fate != "obeyed":
            return
        if before is None or before.key != said.key or before.message_class < 2:
            return
        if self._truth.are_enough(before) and not self._truth.may_end(said, before):
            self.violations.append(f"a voice of several was taken by one: {self.log[-1]}")

    def _certificate(self) -> None:
        """Let somebody certify a key: a root an officer, an officer one below, a thief a root."""
        parent, besides = self._signers()
        parent = self._some((parent, *ROOTS))
        known = ROOTS[: len(self._truth.followed) + 2]  # of a later one nobody knows that it is one
        key = self._some((*KEYS, *KEYS, self._some(known)))
        self._certify(parent, key, frozenset(besides) - {parent}, self._of((1, 2, 2)))

    def _certify(self, parent: str, key: str, besides: frozenset[str], most: int) -> None:
        officer = key in OFFICERS and parent in ROOTS
        asked = Together(self._asks, tuple(SIGNERS[one].key_id for one in OFFICERS), 2)
        level = TIERS.index("province" if key in ROOTS else key.split(maxsplit=1)[0])
        area, until_s = AREAS_OF.get(key, "vn"), self._of((FOR_EVER_S, FOR_EVER_S, 0))
        if officer and self._truth.papers and self._rng.random() < 0.2:
            area = f"{HERE}/pole"
        until_s = until_s or self._pole.utc_s + 600
        claim = Certificate(
            NAME, SIGNERS[key].public_key, TIERS[level], area, most, until_s,
            gives_time=key != "province", together=asked if officer else None,
        )  # fmt: skip
        content = msgspec.json.encode(claim)
        over = "" if parent in ROOTS else AREAS_OF.get(parent, "vn")
        sealed, by = self._seal(
            parent, sorted(besides), Kind.CERTIFICATE, content, area=over, most=0
        )
        among = frozenset(OFFICERS) if officer else frozenset[str]()
        asks = self._asks if officer else 1
        paper = Paper(parent, level, area, most, until_s, self._counter, by, asks, among)

        def judge(fate: str) -> None:
            if fate != "obeyed":
                return
            if self._truth.may(parent, frozenset(), over, 0, self._time_s()) is False:
                self.violations.append(f"certified without a right: {self.log[-1]}")
            wrong = self._truth.certify(key, paper)
            if wrong is not None:
                self.violations.append(f"{wrong}: {self.log[-1]}")

        self._send(sealed, Kind.CERTIFICATE, parent, sorted(by), key, most, judge=judge)

    def _revoke(self) -> None:
        issuer, key = self._some((*ROOTS, *ROOTS, *OFFICERS)), self._some((*KEYS, *ROOTS))
        if self._truth.followed and self._rng.random() < 0.3:  # the newest takes an earlier one
            issuer, key = self._truth.newest, self._some(tuple(self._truth.followed))
        content = msgspec.json.encode(Revocation((SIGNERS[key].key_id,)))
        over = "" if issuer in ROOTS else "vn"
        sealed, _ = self._seal(issuer, [], Kind.REVOCATION, content, area=over, most=0)

        def judge(fate: str) -> None:
            if fate != "obeyed" or key == issuer:
                return
            is_root = key in ROOTS[: len(self._truth.followed) + 2]
            if not is_root or (issuer in ROOTS and ROOTS.index(issuer) > ROOTS.index(key)):
                self._truth.revoke(issuer, key)

        self._send(sealed, Kind.REVOCATION, issuer, key, judge=judge)
        if key in self._truth.followed:  # who was taken back says once more that it follows
            self._follow(ROOTS[max(ROOTS.index(key) - 1, 0)])

    def _follow(self, by_right: str = "") -> None:
        """Let a root name its successor: the promised one or not, with its signature or without."""
        right = bool(by_right) or self._rng.random() < 0.4
        # Also one that is followed says again by whom, with another end.
        again = (self._truth.newest, *self._truth.followed)
        root = by_right or (self._some(again) if right else self._some(ROOTS))
        promised = ROOTS[min(ROOTS.index(root) + 1, len(ROOTS) - 1)]
        following = promised if right else self._some((promised, *ROOTS, "thief"))
        after = SIGNERS[ROOTS[-1]].public_key if following == ROOTS[1] else b"nobody"
        until_s = self._pole.utc_s + self._of((60, 600, 4000))
        change = RootChange(
            1 + ROOTS.index(root), SIGNERS[root].public_key, SIGNERS[following].public_key,
            self._pole.utc_s, until_s, digest_of(after),
        )  # fmt: skip
        by = [following] if right or self._rng.random() < 0.6 else [self._some((*KEYS, "thief"))]
        besides = [one for one in by if one != root]
        content = msgspec.json.encode(change)
        sealed, true = self._seal(root, besides, Kind.ROOT, content, area="", most=0)
        proven = following in true and following == promised and following != root
        counter = self._counter

        def judge(fate: str) -> None:
            newest, number = self._truth.newest, len(self._truth.followed)
            is_next = root == newest or root in self._truth.followed
            if is_good(fate) and not (proven and is_next):
                self.violations.append(f"a root was followed that must not: {self.log[-1]}")
            elif is_good(fate) and counter > self._root_counters.get(root, 0):
                self._root_counters[root] = counter  # of two about one root the later holds
                self._truth.follow(until_s, root)
            elif proven and root == newest:
                self.violations.append(f"a promised root was not followed: {self.log[-1]}")
            if self._pole.root_number() != len(self._truth.followed):
                self.violations.append(f"{number} roots were followed before: {self.log[-1]}")

        self._send(sealed, Kind.ROOT, root, sorted(true), following, judge=judge)

    def _replay(self) -> None:
        """Send again what came once."""
        if not self._old:
            return
        sealed, kind, judge = self._old[self._of(range(len(self._old)))]
        fate = self._pole.send(sealed)
        self.log.append(f"again {kind.name}: {fate}")
        if is_good(fate) and sealed in self._done and kind is not Kind.ROOT:
            self.violations.append(f"an order acted twice: {kind.name} {fate}")
        if is_good(fate):
            self._done.add(sealed)
        if is_good(fate) and sealed in self._refused:  # who had signed it is known by now
            self._note(sealed)
        judge(fate)
        if self._pole.root_number() != len(self._truth.followed):
            self.violations.append(f"an old statement about roots acted: {kind.name} {fate}")

    def _ask(self) -> None:
        nonce = self._rng.bytes(16)
        if self._pole.ask(nonce):
            self._nonce, self._asked_ns = nonce, self._pole.now_ns
            if self._clock == "own":
                self.violations.append("the time was asked for, and is known")
            self.log.append("the time is asked for")

    def _answer(self) -> None:
        """Let somebody answer, in time or not, to the question or to none."""
        if self._rng.random() < 0.5:
            self._ask()
        late = self._rng.random() < 0.2
        if late:
            self._pole.wait(LIVES_NS // NS_PER_S + 1)
        key = self._some(("commune", "commune", "national 1", "root", "province", "thief"))
        nonce = self._nonce if self._nonce and self._rng.random() < 0.8 else self._rng.bytes(16)
        true_ns = self._pole.now_ns + self._pole.offset_ns
        sealed, _ = self._seal(
            key, [], Kind.BEACON, encode_answer(nonce, true_ns),
            area="" if key == "root" else AREAS_OF.get(key, "vn"), most=0,
        )  # fmt: skip
        is_open = nonce == self._nonce and self._pole.now_ns - self._asked_ns <= LIVES_NS
        was = self._pole.seen().utc_s
        fate = self._send(sealed, Kind.BEACON, key, "answer" if is_open else "no answer")
        known = bool(self._pole.seen().utc_s)
        if known and not was and not (is_open and is_good(fate) and key != "province"):
            self.violations.append(f"the time was believed of nobody: {self.log[-1]}")
        if is_open and is_good(fate):
            self._nonce = b""
            if not known:
                self.violations.append(f"an answer was not believed: {self.log[-1]}")
            if not was:
                self._clock = "signed"
        if known and self._clock == "signed" and not was:
            away_s = abs(self._pole.seen().utc_s - self._pole.utc_s)
            if away_s > LIVES_NS // NS_PER_S:
                self.violations.append(f"the time that was answered is {away_s} s off")

    def _wait(self) -> None:
        self._pole.wait(self._of(_WAITS_S))
        self.log.append("time passes")

    def _boot(self) -> None:
        trusted = self._rng.random() < 0.6
        self._sessions.clear()
        self._pole.boot(trusted=trusted)
        self._clock, self._nonce = "own" if trusted else "none", b""
        self.log.append(f"power cut, clock known {trusted}")
        if self._pole.root_number() != len(self._truth.followed):
            self.violations.append("a power cut changed the roots")

    def _lose_clock(self) -> None:
        self._pole.boot(trusted=False)
        self._sessions.clear()
        self._clock, self._nonce = "none", b""
        self.log.append("power cut, no clock")

    def _find_clock(self) -> None:
        self._pole.read_clock(trusted=True)
        self._clock = "own"
        self.log.append("the clock is right")

    def _is_early(self, key: str) -> bool:
        """Return whether a machine may sign before its root holds: none does here."""
        return key in ROOTS and not self._truth.is_root(key)

    def _time_s(self) -> int | None:
        """Return the time where it ends what is over of every tier; None where it may not."""
        return self._pole.seen().utc_s or None if self._clock == "own" else None

    def _check(self) -> None:
        """Hold all that goes on against who signed it, now."""
        seen, utc_s = self._pole.seen(), self._time_s()
        for one in seen.warnings:
            said = self._warnings.get(one)
            if said is None or self._is_lost(said, utc_s):
                self.violations.append(f"a warning sounds without a right: {self.log[-1]}")
        for ssrc in seen.open:
            said = self._sessions.get(ssrc)
            if said is None or self._is_lost(said, utc_s):
                self.violations.append(f"a stream speaks without a right: {self.log[-1]}")

    def _is_lost(self, said: Said, utc_s: int | None) -> bool:
        may = self._truth.may(said.key, said.by, HERE, said.message_class, utc_s)
        return may is False
