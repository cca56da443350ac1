"""What may happen to a node under orders, drawn at random for `benchmarks.control.orders`.

Each act is an order of one of nine keys, right or not; or time passes, a clock is wrong, the power
fails. What was obeyed is noted beside the right by which it was.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from benchmarks.control.orders_pole import (
    AREAS,
    KEYS,
    NAME,
    SIGNERS,
    SSRCS,
    TIERS,
    Watched,
)
from benchmarks.control.orders_truth import ROOT, Given, Truth
from node.control.orders import Session
from node.control.precedence import CLASSES, MessageClass
from node.control.trust.authority import Certificate, Revocation
from node.control.trust.fates import is_good
from node.control.trust.message import Kind, Message, seal
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S

NUMBERS: Final = range(1, 7)
_CALENDAR: Final = """[[items]]
name = "{name}"
start = "{start}"
message_class = "{kind}"
level = "{level}"
parts = [{{ kind = "file", duration_s = 900, media = {{ vi = "{media}" }} }}]
"""
_VOLUME: Final = "volume = {0}\nemergency_floor = {1}\nuntrusted_volume = {1}\n"
_AHEAD_S: Final = (0, 0, 0, 25_200, 90_000, -300, -900)
"""What is wrong with the clock of a machine that signs."""
_IN_SIGNATURE: Final = 20
"""A byte of the envelope that is of its signature."""
_WAITS_S: Final = (1, 30, 30, 400, 400, 4000, 4000, 90_000)


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that an order caused and that lasts."""

    key: str
    area: str
    message_class: int
    level: int
    until_ns: int = 1 << 62
    exercise: bool = False


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


class Acts:
    """What may happen to one node, drawn; `violations` says in words which promise was broken."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pole = Watched()
        self._truth = Truth()
        self._sent = 0
        self._ahead_s = {key: self._of(_AHEAD_S) for key in SIGNERS}
        self._sessions: dict[int, Effect] = {}
        self._warnings: dict[tuple[str, str], Effect] = {}
        self._mutes: dict[str, Effect] = {}
        self._volumes: dict[int, tuple[Effect, tuple[int, int]]] = {}
        self._items: dict[str, Effect] = {}
        self._obeyed: list[bytes] = []
        self._clock_is_right = True
        self.violations: list[str] = []
        self.log: list[str] = []

    def _of(self, choices: "tuple[int, ...] | range") -> int:
        return int(choices[int(self._rng.integers(len(choices)))])

    def _key(self) -> str:
        """Return who acts: any key, the root seldom, a stranger hardly ever."""
        names = (*KEYS, *KEYS, ROOT, "stranger")
        return names[int(self._rng.integers(len(names)))]

    def _parent_of(self, tier: str) -> str:
        level = TIERS.index(tier)
        return f"{TIERS[level - 1]} 1" if level else ROOT

    # --- what may happen

    def _any_certificate(self) -> Step:
        key = KEYS[self._of(range(len(KEYS)))]
        return self._certify(self._key(), key, wide=self._rng.random() < 0.4)

    def _certify(self, parent: str, key: str, *, wide: bool) -> Step:
        tier = (
            key.split(maxsplit=1)[0]
            if wide or self._rng.random() < 0.8
            else TIERS[self._of(range(4))]
        )
        level = TIERS.index(tier)
        area = AREAS[level + 1] if wide else AREAS[self._of(range(len(AREAS)))]
        most = 2 if wide else self._of((0, 1, 2))
        until_s = 1 << 39 if wide else self._pole.utc_s + self._of((600, 100_000, 1 << 30))
        claim = Certificate(NAME, SIGNERS[key].public_key, tier, area, most, until_s)
        over = self._own_area(parent)
        step = Step(parent, Kind.CERTIFICATE, msgspec.json.encode(claim), over, 0, 600, key)
        fate = self._send(step)
        if fate == "obeyed":
            given = Given(parent, level, area, most, until_s, self._counter(parent))
            if key in self._truth.given and self._truth.given[key].parent != parent:
                self._truth.given.pop(key)
            self._blame(self._truth.certify(parent, key, given), step)
        return step

    def _revoke(self) -> Step:
        issuer, key = self._key(), KEYS[self._of(range(len(KEYS)))]
        if self._rng.random() < 0.5:
            issuer = self._parent_of(key.split()[0])
        over = self._own_area(issuer)
        content = msgspec.json.encode(Revocation((SIGNERS[key].key_id,)))
        step = Step(issuer, Kind.REVOCATION, content, over, 0, 600, key)
        if self._send(step) == "obeyed":
            self._truth.revoke(issuer, {key} - {ROOT, issuer})
        return step

    def _warn(self) -> Step:
        what = ("alert", "alert", "update", "cancel")[self._of(range(4))]
        number, about = self._of(NUMBERS), self._of(NUMBERS)
        lasts_s = self._of((60, 3600, 86_400))
        exercise = self._rng.random() < 0.3
        content = encode_short(
            what,  # type: ignore[arg-type]  # one of the three
            number if what == "alert" else 1000 + self._of(range(10**6)),
            about=0 if what == "alert" else about,
            lasts_s=lasts_s,
            exercise=exercise,
        )
        kind = self._of((0, 1, 2, 2, 2))
        step = Step(self._key(), Kind.SHORT_ALERT, content, self._area(), kind, 600, exercise)
        fate = self._send(step)
        if fate == "waiting":
            name = f"{int.from_bytes(content[10:18], 'big'):016x}"
            key_id = SIGNERS[step.key].key_id.hex()
            weight = min(kind, 1) if exercise else kind
            self._warnings[name, key_id] = self._effect(step, weight, exercise=exercise)
        return step

    def _session(self) -> Step:
        ssrc, key = self._of(SSRCS), self._key()
        end = self._rng.random() < 0.2
        kind = Kind.SESSION_END if end else Kind.SESSION
        content = msgspec.json.encode(Session(ssrc))
        ttl_s = self._of((60, 3600, 86_400))
        step = Step(key, kind, content, self._area(), self._of((0, 1, 2)), ttl_s, ssrc)
        if self._send(step) == "obeyed":
            self._sessions.pop(ssrc, None)
            if not end:
                self._sessions[ssrc] = self._effect(step, step.message_class)
        return step

    def _mute(self) -> Step:
        kind = (Kind.MUTE, Kind.MUTE, Kind.UNMUTE)[self._of(range(3))]
        step = Step(self._key(), kind, b"", self._area(), 0, self._of((60, 3600, 86_400)))
        fate = self._send(step)
        if kind is Kind.MUTE and fate == "obeyed":
            self._mutes[step.key] = self._effect(step, 0)
        elif kind is Kind.UNMUTE and fate in ("obeyed", "muted from above"):
            level = self._truth.level(step.key)
            self._mutes = {k: m for k, m in self._mutes.items() if m.level < level}
        return step

    def _volume(self) -> Step:
        said = (self._of((0, 30, 100)), self._of((0, 60, 90)))
        content = _VOLUME.format(*said).encode()
        step = Step(self._key(), Kind.VOLUME, content, self._area(), self._of((0, 0, 1)), 600)
        if self._send(step) == "obeyed":
            self._volumes[self._truth.level(step.key)] = (self._effect(step, 0), said)
        return step

    def _calendar(self) -> Step:
        minute = (self._pole.utc_s // 60 + 7 * 60 + 1 + self._of(range(3))) % 1440
        name = f"item {len(self._items)}"
        kind, level = CLASSES[self._of((0, 1, 2))], TIERS[self._of(range(4))]
        start = f"{minute // 60:02}:{minute % 60:02}"
        text = _CALENDAR.format(name=name, start=start, kind=kind, level=level, media="c" * 64)
        content = b"" if self._rng.random() < 0.2 else text.encode()
        step = Step(self._key(), Kind.CALENDAR, content, self._area(), 0, 600)
        fate = self._send(step)
        if content and is_good(fate):
            self._items[name] = self._effect(step, CLASSES.index(kind))
        return step

    def _beacon(self) -> Step:
        step = Step(self._key(), Kind.BEACON, b"", self._area(), 0, 600)
        self._send(step)
        return step

    def _junk(self) -> Step:
        kind = list(Kind)[self._of(range(len(Kind)))]
        content = self._rng.bytes(self._of((0, 1, 40, 4000)))
        step = Step(self._key(), kind, content, self._area(), self._of((0, 1, 2)), 600)
        if kind in (Kind.MUTE, Kind.UNMUTE, Kind.VOLUME, Kind.CALENDAR):
            step = Step(step.key, Kind.BEACON, content, step.area, step.message_class, 600)
        self._send(step)
        return step

    def _come_down(self) -> Step | None:
        """Let who certified a key put it a tier or a class lower: what reached higher ends."""
        held = [key for key, one in self._truth.given.items() if one.level + 1 < len(TIERS)]
        if not held:
            return None
        key = held[self._of(range(len(held)))]
        own, over = self._truth.given[key], self._rng.random() < 0.5
        until_s = (1 << 39, self._pole.utc_s + 300)[self._of((0, 0, 1))]
        level = own.level + int(over)
        most = own.class_max if over else max(own.class_max - 1, 0)
        claim = Certificate(NAME, SIGNERS[key].public_key, TIERS[level], own.area, most, until_s)
        content = msgspec.json.encode(claim)
        area = self._own_area(own.parent)
        step = Step(own.parent, Kind.CERTIFICATE, content, area, 0, 600, key)
        if self._send(step) == "obeyed":
            given = Given(own.parent, level, own.area, most, until_s, self._counter(own.parent))
            self._blame(self._truth.certify(own.parent, key, given), step)
        return step

    def _forge(self) -> None:
        """Send an order in another's name, whose signature is none."""
        step = Step(self._key(), Kind.MUTE, b"", self._area(), 0, 600)
        if step.key != "stranger":
            sealed = bytearray(seal(self._message(step), SIGNERS[step.key]))
            sealed[_IN_SIGNATURE] ^= 1
            fate = self._pole.send(bytes(sealed))
            self.log.append(f"forged {step.key}: {fate}")
            if is_good(fate):
                self.violations.append("a forged order was obeyed")

    def _elsewhere(self) -> Step:
        """Send an order that is for another village."""
        step = Step(self._key(), Kind.MUTE, b"", "vn/elsewhere", 0, 600)
        if is_good(self._send(step)):
            self.violations.append("an order for elsewhere was obeyed")
        return step

    def _wait(self) -> None:
        self._pole.wait(self._of(_WAITS_S))
        self.log.append("time passes")

    def _clock(self) -> None:
        """Let the clock lose its synchronisation, be wrong, or be right again."""
        wrong_s = self._of((0, 0, 0, 7200, -7200, 400 * 86_400))
        trusted = self._rng.random() < 0.7
        self._clock_is_right = trusted and wrong_s == 0
        self._pole.read_clock(trusted=trusted, wrong_s=wrong_s)
        self._ahead_s[self._key()] = self._of(_AHEAD_S)
        self.log.append(f"clock {wrong_s:+} s, synchronised {trusted}")

    def _boot(self) -> None:
        self._sessions.clear()
        trusted = self._rng.random() < 0.7
        self._clock_is_right = trusted
        self._pole.boot(trusted=trusted)
        self.log.append(f"power cut, clock known {trusted}")

    # --- the small words

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
        if is_good(fate) and self._clock_is_right and self._node_time_s() and late_s > 0:
            self.violations.append(f"obeyed after its time to live: {self.log[-1]}")
        if is_good(fate):
            self._obeyed.append(sealed)
            if step.key == "stranger" or not may:
                self.violations.append(f"obeyed without a right: {self.log[-1]}")
        return fate

    def _counter(self, key: str) -> int:
        """Return the counter of the last order: the clock of the machine that signs, as it is."""
        return (self._pole.utc_s + self._ahead_s[key]) * 1000 + self._sent

    def _own_area(self, key: str) -> str:
        """Return the area of a key's own certificate."""
        return self._truth.given[key].area if key in self._truth.given else ""

    def _area(self) -> str:
        return AREAS[self._of((2, 3, 3, 4, 4, 4))]

    def _effect(self, step: Step, weight: int, *, exercise: bool = False) -> Effect:
        until_ns = self._pole.now_ns + step.ttl_s * NS_PER_S
        level = self._truth.level(step.key)
        return Effect(step.key, step.area, weight, level, until_ns, exercise)

    def _right(self, one: Effect, utc_s: int) -> bool:
        may = self._truth.may(one.key, one.area, one.message_class, utc_s or None)
        return may and self._truth.level(one.key) <= one.level

    def _lives(self, one: Effect, utc_s: int) -> bool:
        return self._right(one, utc_s) and one.until_ns > self._pole.now_ns

    def _is_below(self, step: Step | None, one: Effect) -> bool:
        return step is not None and self._truth.level(step.key) > one.level

    def _node_time_s(self) -> int:
        """Return the civil time that the node believes; 0 when it knows none."""
        status = self._pole.node.status(self._pole.now_ns)
        return int(str(status["utc_s"])) if status["clock_trusted"] else 0

    def _expect(self, wanted: str, fate: str, step: Step) -> None:
        if fate != wanted:
            self._blame(f"{fate} instead of {wanted}", step)

    def _blame(self, wrong: str | None, step: Step | None) -> None:
        if wrong is not None:
            who = "" if step is None else f" ({step.key} {step.kind.name})"
            self.violations.append(wrong + who)
