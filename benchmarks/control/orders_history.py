"""One random history of orders to a node, held step by step against `orders_truth`.

Each step is an order of one of nine keys, right or not, new or replayed; or time passes, a clock
is wrong, the power fails. After each one nothing may speak, sound, mute or make loud without a
right at that instant, and nothing of a higher tier may have been lost to a lower one.
"""

from dataclasses import replace
from itertools import product
from typing import Final

import msgspec

from benchmarks.control.orders_acts import Acts
from benchmarks.control.orders_pole import (
    HERE,
    NAME,
    SIGNERS,
    TIERS,
    Seen,
)
from benchmarks.control.orders_truth import ROOT
from benchmarks.control.orders_words import LATE_S, Effect, Step, places_of
from node.control.orders import Session
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate
from node.control.trust.fates import is_good
from node.control.trust.message import Kind
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S

STEPS: Final = 30
_LOUD: Final = tuple(
    (tier, kind) for tier in TIERS for kind in (MessageClass.NORMAL, MessageClass.URGENT)
)
_MAKE_LOUD: Final = (Kind.VOLUME, Kind.CERTIFICATE, Kind.REVOCATION)


class History(Acts):
    """Draw a history and follow it."""

    _looked = 0

    def run(self, steps: int = STEPS) -> list[str]:
        """Let `steps` things happen; return the broken promises."""
        self._certify_all()
        if self._rng.random() < 0.5:
            self._evening()
            self._check(self._pole.seen(), self._pole.seen(), None)
        for _ in range(steps):
            self._one()
            if self.violations:
                return self.violations
        self._probe()
        return self.violations

    def _one(self) -> None:
        """Let one thing happen, and look."""
        acts = (
            self._any_certificate, self._revoke, *(6 * (self._warn,)), *(3 * (self._session,)),
            *(3 * (self._calendar,)), self._speak, self._speak, self._mute, self._volume,
            self._volume, self._beacon, self._wait, self._wait, self._clock, self._boot,
            self._replay, self._junk, self._come_down, self._come_down, self._forge,
            self._elsewhere, self._evening, self._certify_all, self._crowd,
            self._quarrel, self._quarrel, self._expire, self._beacon,
        )  # fmt: skip
        before = self._pole.seen()
        who = acts[int(self._rng.integers(len(acts)))]()
        self._check(before, self._pole.seen(), who)

    def _replay(self) -> None:
        """Send again what was obeyed once: it must do nothing."""
        if not self._obeyed:
            return
        before = self._pole.seen()
        fate = self._pole.send(self._obeyed[self._of(range(len(self._obeyed)))])
        after = self._pole.seen()
        self.log.append(f"replay: {fate}")
        if is_good(fate) or before.open != after.open or before.warnings < after.warnings:
            self.violations.append(f"a replayed order acted: {fate}")

    # --- what must hold

    def _check(self, before: Seen, after: Seen, step: Step | None) -> None:
        utc_s = self._node_time_s()
        self._check_sessions(before, after, step, utc_s)
        self._check_warnings(before, after, step, utc_s)
        self._check_parts(utc_s)
        self._check_items(before, after, step, utc_s)
        self._check_heard(after)
        self._check_mutes(after, utc_s)
        self._check_volumes(step, utc_s)
        self._forget_lost()

    def _forget_lost(self) -> None:
        """Forget what whose right is lost: a new certificate brings neither plan nor mute back."""
        held = self._volumes.items()
        self._volumes = {level: one for level, one in held if self._right(one[0], 0)}
        utc_s = self._node_time_s()
        if utc_s:
            self._mutes = {k: m for k, m in self._mutes.items() if self._right(m, utc_s)}
        else:
            self._doubt_mutes()

    def _check_sessions(self, before: Seen, after: Seen, step: Step | None, utc_s: int) -> None:
        for ssrc in after.open:
            one = self._sessions.get(ssrc)
            right = one is not None and self._right(one, self._held_s(utc_s))
            if one is None or not right or one.until_ns <= self._pole.now_ns:
                self._blame("a stream speaks without a right", step)
        for level in range(len(TIERS)):
            if sum(self._sessions[one].level == level for one in after.open) > places_of(level):
                self._blame(f"{TIERS[level]} has announced more streams than its places", step)
        for ssrc in before.open - after.open:
            one = self._sessions.pop(ssrc, None)
            if one is None or not self._lives(one, self._held_s(utc_s)):
                continue
            if self._is_below(step, one):
                self._blame("a stream from above was ended by one below", step)
            if self._was_set(after):
                self._blame("a clock that was set ended a stream", step)

    def _was_set(self, after: Seen) -> bool:
        """Return whether all that happened is that its own clock, which it believes, was read."""
        return after.is_own and self.log[-1].startswith("clock ")

    def _check_heard(self, seen: Seen) -> None:
        """Hold what each live stream is heard as against who announced and who relays it."""
        wanted = self._may_be_heard()
        for ssrc in wanted.keys() | seen.heard.keys():
            one, kinds = seen.heard.get(ssrc), wanted.get(ssrc, [])
            found = None if one is None else (int(one.message_class), one.level)
            if found != (kinds[0] if kinds else None):
                self.violations.append(f"stream {ssrc} is heard as {found}: it may as {kinds}")
        if seen.holder is not None:
            ssrc, one = seen.holder
            kinds = wanted.get(ssrc) or [(int(one.message_class), one.level)]
            gain_db = max(self._pole.gain_db(kind, tier) for kind, tier in kinds)
            if one.gain_db != gain_db:
                self.violations.append(f"{one} has the horn, its gain is to be {gain_db}")

    def _check_items(self, before: Seen, after: Seen, step: Step | None, utc_s: int) -> None:
        """Nothing plays on without a right, and nothing from above was ended by one below."""
        for name in after.playing & self._items.keys():
            if not self._right(self._items[name], self._held_s(utc_s)):
                self._blame(f"{name} plays on without a right", step)
        for name in (before.playing - after.playing) & self._items.keys():
            one = self._items[name]
            if step is not None and step.kind is Kind.MUTE:
                one = replace(one, level=one.tier)  # who is muted is whose item it says it is
            if not self._right(one, self._held_s(utc_s)):
                continue
            if self._ends_beyond(step, one):
                self._blame(f"{name} was ended by who may less", step)
            if self._was_set(after) and one.message_class == MessageClass.URGENT:
                self._blame(f"a clock that was set ended {name}", step)

    def _ends_beyond(self, step: Step | None, one: Effect) -> bool:
        """Return whether this order must not end that item: it is from above, or may order more."""
        if step is None or self._is_below(step, one):
            return step is not None
        if step.kind is Kind.MUTE:
            is_own = self._truth.level(step.key) == one.level
            return is_own and self._truth.class_max(step.key) < one.message_class
        is_ordered = step.kind is Kind.CALENDAR and one.key != ROOT
        return is_ordered and self._is_less(step.key, one)

    def _check_warnings(self, before: Seen, after: Seen, step: Step | None, utc_s: int) -> None:
        for number, key_id in after.warnings:
            one = self._warnings.get((number, key_id))
            if one is None or not self._right(one, self._held_s(utc_s)):
                self._blame("a warning is open without a right", step)
        for gone in before.warnings - after.warnings:
            one = self._warnings.get(gone)
            held_s = self._held_s(utc_s)
            if one is None or not self._right(one, held_s):
                continue  # over
            if step is None:
                if self._was_set(after) and held_s < before.ends_s[gone]:
                    self._blame("a clock that was set ended a warning", step)
                continue  # by time or reboot
            if utc_s and before.ends_s[gone] <= utc_s:
                continue  # the clock that came back says that it is over
            if step.kind is Kind.BEACON and self._truth.level(step.key) <= max(one.level, 0):
                continue  # it said that the end has come; what the root says is of the first tier
            if step.kind is not Kind.SHORT_ALERT:
                self._blame(f"a {step.kind.name} ended a warning", step)
            elif self._is_below(step, one) or (step.about and not one.exercise):
                self._blame("a warning was ended by who may not", step)
            elif not is_good(self.log[-1].rsplit(": ", 1)[1]):
                self._blame("an order that was refused ended a warning", step)

    def _check_parts(self, utc_s: int) -> None:
        for part in self._pole.control.begun:
            one = self._items.get(part.name)
            if part.name.startswith("#") or one is None:
                continue
            is_other = (part.message_class, part.level) != (one.message_class, TIERS[one.tier])
            ago_s = (self._pole.now_ns - part.at_ns) // NS_PER_S
            began_s = self._held_s(utc_s and utc_s - ago_s, part.at_ns)
            right = self._right(one, began_s)
            if is_other or not right:
                self.violations.append(f"{part.name} sounds beyond its right: {part}")
        self._pole.control.begun.clear()

    def _check_mutes(self, after: Seen, utc_s: int) -> None:
        if not utc_s:
            return
        rights = [one for one in self._mutes.values() if self._right(one, utc_s)]
        for tier, kind in product(TIERS, (MessageClass.NORMAL, MessageClass.PRIORITY)):
            level, muted = TIERS.index(tier), kind < after.lowest[tier]
            by = [
                one
                for one in rights
                if one.level < level
                or (one.level == level and self._truth.class_max(one.key) >= kind)
            ]
            if muted and not by:
                self.violations.append(f"{tier} {kind} is muted and nobody may")
            if not muted and any(m.until_ns > self._pole.now_ns for m in by):
                self.violations.append(f"{tier} {kind} sounds, and is muted")

    def _check_volumes(self, step: Step | None, utc_s: int) -> None:
        """Look at all volumes where one may have changed, else at two: each costs time."""
        plans = list(self._volumes.values())
        kinds = _LOUD
        if step is not None and step.kind not in _MAKE_LOUD:
            self._looked += 1
            kinds = (_LOUD[self._looked % len(_LOUD)],)
        for tier, kind in kinds:
            level = TIERS.index(tier)
            if not utc_s and not all(self._right(o, LATE_S) for o, _ in plans):
                continue  # whether a certificate has ended hangs on the floor under its time
            said = (70, 80)
            for at, (one, values) in sorted(self._volumes.items()):
                if at <= level and self._right(replace(one, message_class=kind), utc_s):
                    said = values
            urgent = kind == MessageClass.URGENT
            wanted = max(said) if urgent else said[0]
            if not utc_s:
                wanted = said[1] if urgent else 0
            volume = self._pole.loud(kind, tier)
            if volume != wanted:
                self.violations.append(f"{tier} {kind} has volume {volume}, not {wanted}")

    def _probe(self) -> None:
        """Let the root do what it may: nothing from below stands in the way."""
        self._read_clock(trusted=True)
        self._ahead_s = dict.fromkeys(SIGNERS, 0)
        for message_class in (2, 0):
            step = Step(
                ROOT, Kind.SESSION, msgspec.json.encode(Session(99)), HERE, message_class, 60
            )
            self._expect("obeyed", self._send(step), step)
        content = encode_short("alert", 999, lasts_s=600)
        step = Step(ROOT, Kind.SHORT_ALERT, content, HERE, 2, 600)
        self._expect("waiting", self._send(step), step)
        if f"#{999:016x}" not in self._pole.seen().playing:
            self._blame("an urgent warning of the root does not sound", step)
        claim = Certificate(NAME, SIGNERS["stranger"].public_key, "national", "vn", 2, 1 << 39)
        step = Step(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim), "", 0, 600)
        self._expect("obeyed", self._send(step), step)
