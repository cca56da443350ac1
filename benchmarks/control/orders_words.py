"""The words of a random history of orders: who acts, what is sent, what it lasts, who has a right.

What was obeyed is noted beside the right by which it was (`Effect`), for `orders_history`.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.control.orders_pole import (
    AREAS,
    KEYS,
    SIGNERS,
    SOUND,
    START_S,
    STREAMS,
    TIERS,
    Watched,
)
from benchmarks.control.orders_truth import ROOT, Truth, reaches
from node.control.calendar.programme import ItemConfig, PartConfig
from node.control.precedence import CLASSES, MessageClass
from node.control.sessions import EACH_MAX, SESSIONS_MAX
from node.control.trust.fates import NOT_ITS_TO_END, NOTHING_IN_FORCE, is_good
from node.control.trust.message import Kind, Message, seal
from node.units import NS_PER_S

AHEAD_S: Final = (0, 0, 0, 25_200, 90_000, -300, -900)
"""What is wrong with the clock of a machine that signs."""


_GRACE_NS: Final = 600 * NS_PER_S
"""For so long a clock that was set ahead ends nothing that was taken."""

LATE_S: Final = 1 << 38
"""Later than any beacon says, and before the certificates that do not end."""

_NOT_ANSWERED: Final = frozenset(
    {"unknown key", "wrong signature", "too many orders", "the answer of a node is no order"}
)
"""Of strangers and of what is too much a few are answered; answers of nodes never."""


_AS_OFTEN: Final = frozenset({Kind.CERTIFICATE, Kind.REVOCATION, Kind.BEACON})
"""They may act as often as they come."""


def places_of(level: int) -> int:
    """Return how many streams tier `level` and those below may have announced; -1 is the root."""
    return SESSIONS_MAX - (level + 1) * (SESSIONS_MAX // (len(TIERS) + 1))


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that an order caused and that lasts."""

    key: str
    area: str
    message_class: int
    level: int
    until_ns: int = 1 << 62
    exercise: bool = False
    tier: int = 0
    """Of an item: that of its key, or the lower one that it names."""
    stream: str = ""
    """Name of a live stream; of an item: of the one that it relays."""


@dataclass(frozen=True, slots=True)
class Step:
    """One order as it was sent: who, what, and the words for a report."""

    key: str
    kind: Kind
    content: bytes
    area: str
    message_class: int
    ttl_s: int
    about: object = None
    """What its own kind needs to remember of it."""


class Words:
    """One node, and what is known of it; `violations` says in words which promise was broken."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._truth = Truth()
        self._sent = 0
        self._ahead_s = {key: self._of(AHEAD_S) for key in SIGNERS}
        self._sessions: dict[int, Effect] = {}
        self._warnings: dict[tuple[str, str], Effect] = {}
        self._said: dict[tuple[bool, int], list[Effect]] = {}
        """Orders about each number of a warning; the root's numbers are its own."""
        self._mutes: dict[str, Effect] = {}
        self._volumes: dict[int, tuple[Effect, tuple[int, int]]] = {}
        self._items: dict[str, Effect] = {}
        self._line: tuple[int, int] | None = None
        """Civil seconds less the monotonic ones as they were before the node's own clock was set
        ahead, and until when that counts, in monotonic ns.
        """
        self._pole = Watched(self._own_items())
        self._obeyed: list[bytes] = []
        self._clock_is_right = True
        self.violations: list[str] = []
        self.log: list[str] = []

    @property
    def orders(self) -> int:
        """Return how many orders the node was given, forged and repeated ones among them."""
        return self._pole.sent

    def _of(self, choices: "tuple[int, ...] | range") -> int:
        return int(choices[int(self._rng.integers(len(choices)))])

    def _key(self) -> str:
        """Return who acts: any key, the root seldom, a stranger hardly ever."""
        names = (*KEYS, *KEYS, ROOT, "stranger")
        return names[int(self._rng.integers(len(names)))]

    def _holder(self) -> str:
        """Return who acts: mostly a key that was certified for something."""
        held = tuple(self._truth.given)
        if not held or self._rng.random() < 0.3:
            return self._key()
        return held[self._of(range(len(held)))]

    def _own_items(self) -> tuple[ItemConfig, ...]:
        """Return up to three items of the node's own file, due in its first minutes."""
        found = []
        for number in range(self._of((0, 1, 2, 3))):
            name, stream = f"own {number}", ("", *STREAMS)[self._of((0, 1, 2))]
            kind, tier, minute = self._of((0, 1, 2)), self._of(range(4)), self._of((1, 2, 5, 9))
            minute = (START_S // 60 + 7 * 60 + minute) % 1440
            part = PartConfig(
                kind="relay" if stream else "file",
                duration_s=self._of((300, 4000)),
                media={} if stream else {"vi": SOUND},
                stream=stream,
            )
            item = ItemConfig(
                name=name,
                start=f"{minute // 60:02}:{minute % 60:02}",
                parts=(part,),
                message_class=CLASSES[kind],
                level=TIERS[tier],
            )
            found.append(item)
            self._items[name] = Effect(ROOT, "", kind, tier, tier=tier, stream=stream)
        return tuple(found)

    def _parent_of(self, tier: str) -> str:
        level = TIERS.index(tier)
        return f"{TIERS[level - 1]} 1" if level else ROOT

    def _message(self, step: Step) -> Message:
        self._sent += 1
        return Message(
            kind=step.kind,
            key_id=SIGNERS[step.key].key_id,
            counter=self._counter(step.key),
            issued_s=self._pole.utc_s + self._ahead_s[step.key],
            ttl_s=step.ttl_s,
            message_class=MessageClass(step.message_class),
            area=step.area,
            content=step.content,
        )

    def _send(self, step: Step) -> str:
        message = self._message(step)
        sealed = seal(message, SIGNERS[step.key])
        may = self._truth.may(step.key, step.area, step.message_class, self._node_time_s() or None)
        fate = self._pole.send(sealed)
        self.log.append(f"{step.key} {step.kind.name} {step.area!r} {step.message_class}: {fate}")
        late_s = self._pole.utc_s - message.issued_s - step.ttl_s
        self._check_answer(fate, message)
        taken = is_good(fate) or fate in (NOTHING_IN_FORCE, NOT_ITS_TO_END)
        if taken and self._clock_is_right and self._node_time_s() and late_s > 0:
            self.violations.append(f"obeyed after its time to live: {self.log[-1]}")
        if taken and step.kind not in _AS_OFTEN and not self._pole.was_kept:
            self.violations.append(f"acted before it was kept: {self.log[-1]}")
        if taken:
            self._obeyed.append(sealed)
            if step.key == "stranger" or not may:
                self.violations.append(f"obeyed without a right: {self.log[-1]}")
        return fate

    def _check_answer(self, fate: str, message: Message) -> None:
        """Hold that each order is answered once, a refused one with a remedy and in the log too."""
        if fate in _NOT_ANSWERED:
            return
        told = [(one.counter, one.fate) for one in self._pole.answers]
        if told != [(message.counter, fate)]:
            self.violations.append(f"{fate} is answered by {told}: {self.log[-1]}")
        if is_good(fate):
            return
        if not all(one.remedy for one in self._pole.answers):
            self.violations.append(f"nothing helps: {self.log[-1]}")
        if not any(fate in one for one in self._pole.notes):
            self.violations.append(f"refused without a line in the log: {self.log[-1]}")

    def _counter(self, key: str) -> int:
        """Return the counter of the last order: the clock of the machine that signs, as it is."""
        return (self._pole.utc_s + self._ahead_s[key]) * 1000 + self._sent

    def _own_area(self, key: str) -> str:
        """Return the area of a key's own certificate."""
        return self._truth.given[key].area if key in self._truth.given else ""

    def _area(self) -> str:
        return AREAS[self._of((2, 3, 3, 4, 4, 4))]

    def _effect(
        self, step: Step, weight: int, *, exercise: bool = False, tier: int = 0, stream: str = ""
    ) -> Effect:
        until_ns = self._pole.now_ns + step.ttl_s * NS_PER_S
        level = self._truth.level(step.key)
        return Effect(step.key, step.area, weight, level, until_ns, exercise, tier, stream)

    def _right(self, one: Effect, utc_s: int) -> bool:
        may = self._truth.may(one.key, one.area, one.message_class, utc_s or None)
        return may and self._truth.level(one.key) <= one.level

    def _read_clock(self, *, trusted: bool, wrong_s: int = 0) -> None:
        """Let the node's machine read a clock."""
        pole, before_s = self._pole, self._node_time_s()
        held_s = self._held_s(before_s)
        pole.read_clock(trusted=trusted, wrong_s=wrong_s)
        after = pole.seen()
        if before_s and after.is_own and after.utc_s > before_s + 1:
            self._line = (held_s - pole.now_ns // NS_PER_S, pole.now_ns + _GRACE_NS)

    def _held_s(self, utc_s: int, at_ns: int | None = None) -> int:
        """Return the civil time by which what was taken ends, where the node believed `utc_s` at
        `at_ns`: for ten minutes after its own clock was set ahead as if that had not been.
        """
        now_ns = self._pole.now_ns if at_ns is None else at_ns
        if not utc_s or not self._pole.seen().is_own or self._line is None:
            return utc_s
        before_s, until_ns = self._line
        return min(utc_s, before_s + now_ns // NS_PER_S) if now_ns < until_ns else utc_s

    def _lives(self, one: Effect, utc_s: int) -> bool:
        return self._right(one, utc_s) and one.until_ns > self._pole.now_ns

    def _is_below(self, step: Step | None, one: Effect) -> bool:
        return step is not None and self._truth.level(step.key) > one.level

    def _may_take(self, key: str, one: Effect) -> bool:
        """Return whether `key` may take the number or name of a stream from who announced it.

        The tier is that in which it was announced, also of a key that stands higher by now.
        """
        level = self._truth.level(key)
        if one.key == key or level != one.level:
            return one.key == key or level < one.level
        return not self._is_less(key, one) and self._is_less(one.key, replace(one, key=key))

    def _is_less(self, key: str, one: Effect) -> bool:
        """Return whether `key` may order less than who ordered `one`: of its tier too."""
        level, held = self._truth.level(key), one.key
        if level != one.level or ROOT in (held, key) or held == key:
            return level > one.level
        own, other = self._truth.given.get(key), self._truth.given.get(held)
        if own is None or other is None:
            return other is not None
        return own.class_max < other.class_max or not reaches(own.area, other.area)

    def _node_time_s(self) -> int:
        """Return the civil time that the node believes; 0 when it knows none."""
        return self._pole.seen().utc_s

    def _may_be_heard(self) -> dict[int, list[tuple[int, str]]]:
        """Return as what each live stream may be heard now: class and tier, the highest first.

        One without a name is what its session says. One with a name is what the items that relay
        it are, and an item relays what the highest tier announced by that name among the keys that
        may order its class.
        """
        seen = self._pole.seen()
        found: dict[int, list[tuple[int, int]]] = {}
        for ssrc, one in self._sessions.items():
            if ssrc in seen.open and not one.stream:
                found.setdefault(ssrc, []).append((one.message_class, -max(one.level, 0)))
        for part in self._pole.control.running.values():
            if part.kind == "relay" and part.name in self._items:
                item = self._items[part.name]
                for ssrc in self._named(item):
                    found.setdefault(ssrc, []).append((item.message_class, -item.tier))
        return {
            ssrc: [(kind, TIERS[-tier]) for kind, tier in sorted(kinds, reverse=True)]
            for ssrc, kinds in found.items()
        }

    def _is_taken(self, stream: str, key: str) -> bool:
        """Return whether the name of a stream is another's, who does not stand below."""
        return bool(stream) and any(
            one.stream == stream and not self._may_take(key, one)
            for ssrc, one in self._sessions.items()
            if ssrc in self._pole.seen().open
        )

    def _has_place(self, key: str) -> bool:
        """Return whether there is a place for a stream of `key`, were nobody below it there."""
        level, opened = self._truth.level(key), self._pole.seen().open
        held = [one for ssrc, one in self._sessions.items() if ssrc in opened]
        return sum(one.key == key for one in held) < EACH_MAX and all(
            sum(first <= one.level <= level for one in held) < places_of(first)
            for first in range(-1, level + 1)
        )

    def _doubt_mutes(self, *, all_of_them: bool = False) -> None:
        """Note which mutes may be over from now on: their time is told by a clock, or their end."""
        for key, one in self._mutes.items():
            if all_of_them or not self._right(one, LATE_S):
                self._mutes[key] = replace(one, until_ns=0)

    def _named(self, item: Effect) -> list[int]:
        """Return the stream that an item relays, of a key that may order its class: the highest
        tier's, there the latest; or none.
        """
        found = [
            (-one.level, at, ssrc)
            for at, (ssrc, one) in enumerate(self._sessions.items())
            if ssrc in self._pole.seen().open
            and one.stream == item.stream
            and one.level <= item.tier
            and self._truth.class_max(one.key) >= item.message_class
        ]
        return [max(found)[2]] if found else []

    def _expect(self, wanted: str, fate: str, step: Step) -> None:
        if fate != wanted:
            self._blame(f"{fate} instead of {wanted}", step)

    def _blame(self, wrong: str | None, step: Step | None) -> None:
        if wrong is not None:
            who = "" if step is None else f" ({step.key} {step.kind.name})"
            self.violations.append(wrong + who)
