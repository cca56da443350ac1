"""What may happen to a node under orders, drawn at random for `benchmarks.control.orders`.

Each act is an order of one of nine keys, right or not; or time passes, a clock is wrong, the power
fails. What was obeyed is noted beside the right by which it was.
"""

from dataclasses import replace
from typing import Final

import msgspec

from benchmarks.control.orders_pole import (
    AREAS,
    HERE,
    KEYS,
    NAME,
    SIGNERS,
    SOUND,
    SSRCS,
    STREAMS,
    TIERS,
)
from benchmarks.control.orders_truth import ROOT, Given
from benchmarks.control.orders_words import AHEAD_S, Effect, Step, Words
from node.control.orders import Session
from node.control.precedence import CLASSES, MessageClass
from node.control.trust.authority import Certificate, Revocation
from node.control.trust.fates import (
    NOT_ITS_PLAN,
    NOT_ITS_TO_END,
    NOTHING_IN_FORCE,
    OVER_ALREADY,
    is_good,
)
from node.control.trust.message import Kind, seal
from node.control.warning.short_alert import encode_short

NUMBERS: Final = range(1, 7)
_ITEM: Final = """[[items]]
name = "{name}"
start = "{minute}"
message_class = "{kind}"
level = "{level}"
parts = [{{ {part} }}]
"""
_RELAY: Final = 'kind = "relay", duration_s = {seconds}, stream = "{stream}"'
_FILE: Final = 'kind = "file", duration_s = {seconds}, media = {{ vi = "{media}" }}'
_CROWD: Final = range(101, 113)
_LASTS_S: Final = (40, 300, 900, 900)
_VOLUME: Final = "volume = {0}\nemergency_floor = {1}\nuntrusted_volume = {1}\n"
_IN_SIGNATURE: Final = 20
"""A byte of the envelope that is of its signature."""
_WAITS_S: Final = (1, 30, 30, 400, 400, 4000, 4000, 90_000)


class Acts(Words):
    """What may happen to one node, drawn."""

    def _any_certificate(self) -> Step:
        key = KEYS[self._of(range(len(KEYS)))]
        wide = self._rng.random() < 0.4
        usual = wide and self._rng.random() < 0.7
        parent = self._parent_of(key.split()[0]) if usual else self._key()
        return self._certify(parent, key, wide=wide)

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
        said = None if wide else (None, None, True, False)[self._of(range(4))]
        claim = Certificate(NAME, SIGNERS[key].public_key, tier, area, most, until_s, said)
        over = self._own_area(parent)
        step = Step(parent, Kind.CERTIFICATE, msgspec.json.encode(claim), over, 0, 600, key)
        fate = self._send(step)
        if fate == "obeyed":
            gives_time = most >= MessageClass.URGENT if said is None else said
            counter = self._counter(parent)
            given = Given(parent, level, area, most, until_s, counter, gives_time)
            if key in self._truth.given and self._truth.given[key].parent != parent:
                self._truth.given.pop(key)
            self._blame(self._truth.certify(parent, key, given), step)
        return step

    def _certify_all(self) -> None:
        """Certify the first key of each tier, or certify it again: what it ordered may be lost."""
        for tier in TIERS:
            self._certify(self._parent_of(tier), f"{tier} 1", wide=True)

    def _revoke(self) -> Step:
        issuer, key = self._key(), self._holder()
        key = key if key in KEYS else KEYS[self._of(range(len(KEYS)))]
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
        step = Step(self._holder(), Kind.SHORT_ALERT, content, self._area(), kind, 600, exercise)
        named = self._in_force(f"{about:016x}", step.key)
        fate = self._send(step)
        self._check_known(fate, step, number if what == "alert" else about, exercise=exercise)
        if what == "cancel":
            self._check_cancel(fate, named, step)
        if fate == "waiting":
            name = f"{int.from_bytes(content[10:18], 'big'):016x}"
            key_id = SIGNERS[step.key].key_id.hex()
            weight = min(kind, 1) if exercise else kind
            self._warnings[name, key_id] = self._effect(step, weight, exercise=exercise)
        return step

    def _check_known(self, fate: str, step: Step, number: int, *, exercise: bool) -> None:
        """Hold that only who is as high or higher has used up the number of a warning."""
        level, is_root = max(self._truth.level(step.key), 0), step.key == ROOT
        if fate == "known" and not any(
            said.level <= level and (exercise or not said.exercise)
            for said in self._said.get((is_root, number), [])
        ):
            self._blame("what one below said keeps a warning out", step)
        elif is_good(fate) or fate in (NOTHING_IN_FORCE, NOT_ITS_TO_END):
            said = Effect(step.key, step.area, step.message_class, level, exercise=exercise)
            self._said.setdefault((is_root, number), []).append(said)

    def _in_force(self, number: str, key: str) -> set[tuple[str, str]]:
        """Return which warnings in force a short cancel of `key` is about.

        It gives a number and no name: the number is its own authority's, and root's is another.
        """
        root = SIGNERS[ROOT].key_id.hex()
        return {
            one
            for one in self._pole.seen().warnings
            if one[0] == number and (one[1] == root) == (key == ROOT)
        }

    def _check_cancel(self, fate: str, named: set[tuple[str, str]], step: Step) -> None:
        """Hold what a cancel is answered against whether the warning was in force, and is."""
        left = named & self._pole.seen().warnings
        if fate == "cancel" and not named - left:
            self._blame("a cancel that ended nothing says that it did", step)
        elif fate in (NOTHING_IN_FORCE, OVER_ALREADY) and named:
            self._blame(f"a cancel about what was in force says {fate!r}", step)
        elif fate == NOT_ITS_TO_END and (not named or left != named):
            self._blame("a cancel says that it may not, and there is nothing left", step)

    def _session(self, by: str = "", *, stream: str = "") -> Step:
        ssrc, key = self._of(SSRCS), by or self._holder()
        end = self._rng.random() < 0.2
        kind = Kind.SESSION_END if end else Kind.SESSION
        stream = stream or ("", *STREAMS)[self._of((0, 0, 1, 1, 2))]
        content = msgspec.json.encode(Session(ssrc, stream))
        ttl_s = self._of((60, 3600, 86_400))
        step = Step(key, kind, content, self._area(), self._of((0, 1, 2)), ttl_s, ssrc)
        taken = not end and self._is_taken(stream, key)
        if ssrc not in self._pole.seen().open:
            self._sessions.pop(ssrc, None)  # it ended by itself: what comes is a new one
        before = self._sessions.get(ssrc)
        may_take = before is None or self._may_take(key, before)
        if self._send(step) == "obeyed":
            if taken:
                self._blame("the name of another's stream was taken", step)
            if before and not may_take:
                self._blame("the number of another's stream was taken", step)
            if end or before is None or (before.key, before.stream) != (key, stream):
                self._sessions.pop(ssrc, None)
            if not end:
                self._sessions[ssrc] = self._effect(step, step.message_class, stream=stream)
        return step

    def _crowd(self) -> None:
        """Let who stands low announce all that they can, and then one from their tier or above."""
        lowest = self._of((1, 2, 2))
        for ssrc in _CROWD:
            tier = TIERS[self._of((lowest, len(TIERS) - 1))]
            self._announce(f"{tier} 1", ssrc, self._of((0, 2, 2, 2, 2, 2)))
        self._announce(f"{TIERS[self._of((lowest, lowest - 1))]} 1", _CROWD.stop, 0)

    def _announce(self, key: str, ssrc: int, message_class: int) -> None:
        """Announce a stream of a number that nobody else takes; none below keeps it out."""
        step = Step(
            key, Kind.SESSION, msgspec.json.encode(Session(ssrc)), HERE, message_class, 60, ssrc
        )
        is_new = ssrc not in self._pole.seen().open
        has_place = is_new and self._has_place(key)
        fate = self._send(step)
        if fate == "obeyed":
            self._sessions[ssrc] = self._effect(step, message_class)
        elif fate == "too many sessions" and has_place:
            self._blame("what those below announced keeps a stream out", step)

    def _evening(self) -> None:
        """Let several plan for one hour, somebody announce what they relay, and the hour come."""
        for _ in range(self._of((2, 2, 3))):
            self._calendar(f"{TIERS[self._of(range(4))]} 1")
        for _ in range(self._of((1, 1, 2))):
            self._session(f"{TIERS[self._of((0, 0, 1, 2))]} 1", stream=STREAMS[0])
        self._pole.wait(self._of((70, 130, 190)))
        self.log.append("the hour comes")

    def _speak(self) -> None:
        """Let somebody send a packet of a stream."""
        ssrc = self._of(SSRCS)
        may = ssrc in self._may_be_heard()
        taken = self._pole.speak(ssrc)
        self.log.append(f"a packet of {ssrc}: {'taken' if taken else 'refused'}")
        if taken != may:
            self.violations.append(f"stream {ssrc} was to be {'heard' if may else 'refused'}")

    def _quarrel(self) -> Step:
        """Let one mute, and next time another, mostly of another tier, end it."""
        is_muted = any(self._pole.seen().lowest.values())
        return self._mute(f"{TIERS[self._of(range(4))]} 1", Kind.UNMUTE if is_muted else Kind.MUTE)

    def _mute(self, by: str = "", kind: Kind | None = None) -> Step:
        kind = kind or (Kind.MUTE, Kind.MUTE, Kind.UNMUTE)[self._of(range(3))]
        key, area = by or self._holder(), HERE if by else self._area()
        step = Step(key, kind, b"", area, 0, self._of((60, 3600, 86_400)))
        fate = self._send(step)
        if kind is Kind.MUTE and fate == "obeyed":
            self._mutes[step.key] = self._effect(step, 0)
        elif kind is Kind.UNMUTE and fate in ("obeyed", "muted from above"):
            held = self._mutes.items()
            self._mutes = {k: m for k, m in held if self._is_less(step.key, m)}
        return step

    def _volume(self) -> Step:
        said = (self._of((0, 30, 100)), self._of((0, 60, 90)))
        content = _VOLUME.format(*said).encode()
        step = Step(self._holder(), Kind.VOLUME, content, self._area(), self._of((0, 0, 1)), 600)
        held = self._volumes.get(self._truth.level(step.key))
        fate = self._send(step)
        is_less = held is not None and self._is_less(step.key, held[0])
        if fate == "obeyed":
            self._blame("a volume plan was replaced by who may less" if is_less else None, step)
            self._volumes[self._truth.level(step.key)] = (self._effect(step, 0), said)
        elif fate == NOT_ITS_PLAN and not is_less:
            self._blame("a volume plan of nobody who may more keeps one out", step)
        return step

    def _calendar(self, by: str = "") -> Step:
        key, text = by or self._holder(), ""
        drawn: dict[str, tuple[int, int, str]] = {}
        for _ in range(self._of((0, 1, 1, 1, 2, 3))):
            name = f"item {len(self._items) + len(drawn)}"
            minute = (self._pole.utc_s // 60 + 7 * 60 + 1 + self._of(range(3))) % 1440
            stream = ("", *STREAMS)[self._of((0, 1, 1, 1, 2))]
            kind, level, seconds = self._of((0, 1, 2)), self._of(range(4)), self._of(_LASTS_S)
            shape = _RELAY if stream else _FILE
            text += _ITEM.format(
                name=name,
                minute=f"{minute // 60:02}:{minute % 60:02}",
                kind=CLASSES[kind],
                level=TIERS[level],
                part=shape.format(seconds=seconds, stream=stream, media=SOUND),
            )
            drawn[name] = (kind, level, stream)
        most = max((kind for kind, _, _ in drawn.values()), default=0)
        step = Step(key, Kind.CALENDAR, text.encode(), self._area(), 0, 600, most)
        if is_good(self._send(step)):
            if most > self._truth.class_max(key):
                self._blame("an item above the class of its key was taken", step)
            for name, (kind, level, stream) in drawn.items():
                tier = max(self._truth.level(key), level)
                self._items[name] = self._effect(step, kind, tier=tier, stream=stream)
        return step

    def _beacon(self) -> Step:
        step = Step(self._holder(), Kind.BEACON, b"", self._area(), 0, 600)
        if self._send(step) == "obeyed" and not self._truth.may_give_time(step.key):
            self._blame("the time was given by who may not", step)
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
        lower = replace(
            own,
            level=own.level + int(over),
            class_max=own.class_max if over else max(own.class_max - 1, 0),
            until_s=(1 << 39, self._pole.utc_s + 300)[self._of((0, 0, 1))],
            gives_time=own.gives_time and self._rng.random() < 0.5,
        )
        return self._renew(key, lower)

    def _expire(self) -> None:
        """Let the certificate of a key end that has certified others: they end with it."""
        parents = {one.parent for one in self._truth.given.values()} - {ROOT}
        held = sorted(parents & self._truth.given.keys())
        if held:
            key = held[self._of(range(len(held)))]
            self._renew(key, replace(self._truth.given[key], until_s=self._pole.utc_s + 60))
            self._pole.wait(90)
            self.log.append("a minute and a half passes")

    def _renew(self, key: str, given: Given) -> Step:
        """Let who certified `key` do so anew."""
        claim = Certificate(
            NAME,
            SIGNERS[key].public_key,
            TIERS[given.level],
            given.area,
            given.class_max,
            given.until_s,
            given.gives_time,
        )
        content = msgspec.json.encode(claim)
        area = self._own_area(given.parent)
        step = Step(given.parent, Kind.CERTIFICATE, content, area, 0, 600, key)
        if self._send(step) == "obeyed":
            given = replace(given, counter=self._counter(given.parent))
            self._blame(self._truth.certify(given.parent, key, given), step)
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
        self._read_clock(trusted=trusted, wrong_s=wrong_s)
        self._ahead_s[self._key()] = self._of(AHEAD_S)
        self.log.append(f"clock {wrong_s:+} s, synchronised {trusted}")

    def _boot(self) -> None:
        self._sessions.clear()
        self._line = None
        self._doubt_mutes(all_of_them=True)
        trusted = self._rng.random() < 0.7
        self._clock_is_right = trusted
        self._pole.boot(trusted=trusted)
        self.log.append(f"power cut, clock known {trusted}")
