"""What a warning orders at one place: its class, its words, and until when.

Warnings come as CAP documents or as a few signed bytes (`node.control.short_alert`); both become an
`Alert`, and `node.control.alert_book` acts on that alone.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from node.config import check
from node.control.calendar.programme import SOUND_RULE, ItemConfig, PartConfig, is_sound
from node.control.precedence import MessageClass
from node.control.trust.certificate import WARNING, Warrant
from node.control.warning.alert_blocks import ANY_EVENT, blocks_of, class_of
from node.control.warning.area import Site, contains
from node.control.warning.cap import CapAlert, CapInfo

AUDIO_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest spoken text that is fetched: two minutes of anything. Larger ones fall back."""

SPOKEN_MAX_S: Final = 120

PART_MAX_S: Final = 600
"""Longest siren or phrase. A siren of 0 s would be no warning, and no part of an item."""

SPOKEN_LANGUAGES_MAX: Final = 8
"""Languages of one warning that are remembered, those with a resource first."""

NAME_MAX: Final = 64
"""Letters of a name in records."""

LANGUAGES_MAX: Final = 3
"""In so many a warning is said; more would keep the siren waiting for its turn."""


def seconds(value: int) -> tuple[bool, object, str]:
    """Return the rule of how long a part of a warning may last, as `check` takes it."""
    return 1 <= value <= PART_MAX_S, value, f"1 to {PART_MAX_S}"


def texts(media: dict[str, str]) -> tuple[bool, object, str]:
    """Return the rule of spoken words: language to stored sound."""
    good = all(language and is_sound(one) for language, one in media.items())
    return good, media, f"language = {SOUND_RULE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseConfig:
    """Stored sounds of one event code (table `[alert.phrases.CODE]`)."""

    siren: str
    """SHA-256 of the siren."""

    text: dict[str, str] = field(default_factory=dict)
    """Language to SHA-256 of the spoken phrase."""

    siren_s: int = 10
    text_s: int = 30
    """How long siren and spoken text last, at most 600 s."""

    def __post_init__(self) -> None:
        check(
            "alert.phrases",
            {
                "siren": (is_sound(self.siren), self.siren, SOUND_RULE),
                "siren_s": seconds(self.siren_s),
                "text_s": seconds(self.text_s),
                "text": texts(self.text),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertConfig:
    """How warnings sound (table `[alert]`)."""

    phrases: dict[str, PhraseConfig] = field(default_factory=dict)
    """By event code; `any` for all others."""

    exercise_phrase: dict[str, str] = field(default_factory=dict)
    """Language to SHA-256 of "this is an exercise". Without it exercises do not sound."""

    exercise_s: int = 10

    onset_phrase: dict[str, str] = field(default_factory=dict)
    """Language to SHA-256 of "it has not begun yet": said after the words while that is so."""

    onset_s: int = 10

    repeat: dict[str, int] = field(
        default_factory=lambda: {"normal": 1, "priority": 2, "urgent": 3}
    )
    """How often siren and words are played."""

    interval_s: int = 20
    """Pause between."""

    expires_default_s: int = 86_400
    """A warning without an end that can be read ends so long after it takes effect."""

    def __post_init__(self) -> None:
        check(
            "alert",
            {
                "repeat": (
                    set(self.repeat) == {"normal", "priority", "urgent"}
                    and all(1 <= n <= 10 for n in self.repeat.values()),
                    self.repeat,
                    "1 to 10 for each of normal, priority, urgent",
                ),
                "interval_s": (0 <= self.interval_s <= 3600, self.interval_s, "0 to 3600"),
                "exercise_phrase": texts(self.exercise_phrase),
                "exercise_s": seconds(self.exercise_s),
                "onset_phrase": texts(self.onset_phrase),
                "onset_s": seconds(self.onset_s),
                "expires_default_s": (
                    60 <= self.expires_default_s <= 7 * 86_400,
                    self.expires_default_s,
                    "60 to 604800",
                ),
            },
        )


class Spoken(msgspec.Struct, frozen=True):
    """Words of a warning in one language: a resource to fetch, or none."""

    language: str
    uri: str = ""
    digest_sha1: str = ""
    size_bytes: int = 0


class Alert(msgspec.Struct, frozen=True):
    """A warning as far as this node is concerned."""

    sender: str
    identifier: str
    kind: Literal["alert", "update", "cancel", "leave"]
    """`leave` is an update that says nothing for here: what it supersedes ends."""
    message_class: int
    level: str
    event_code: str
    sent_s: int
    effective_s: int
    expires_s: int
    onset_s: int = 0
    """When what it warns of begins; 0: not said. It delays nothing."""
    exercise: bool = False
    references: tuple[tuple[str, str], ...] = ()
    spoken: tuple[Spoken, ...] = ()
    signed_by: str = ""
    """Key that signed the order; the controller fills it in, as the two after it."""
    area: str = ""
    """For which it was ordered."""
    class_max: int = MessageClass.URGENT
    """The most that this key may order: no warning above it is ended by it."""
    cosigned_by: tuple[str, ...] = ()
    """Who signed the order besides, where that was asked for and enough of them count."""
    lasts_max_s: int = 0
    """How long after its receipt it is over whatever it says; 0: when it says."""
    block: int = 0
    """Which of the blocks of one document; they are known, superseded and cancelled together."""
    more: "tuple[Alert, ...]" = ()
    """The further blocks of the same document, each with its class, time, event and words."""

    @property
    def warrant(self) -> Warrant | None:
        """On whose word it sounds; None when nobody signed it."""
        key_id = bytes.fromhex(self.signed_by)
        by = tuple(bytes.fromhex(one) for one in self.cosigned_by)
        return Warrant(key_id, self.area, what=WARNING, cosigners=by) if key_id else None

    @property
    def key(self) -> tuple[str, str]:
        """What it is known and referred to by."""
        return key_of(self.sender, self.identifier)

    @property
    def blocks(self) -> "tuple[Alert, ...]":
        """Each block by itself, the most urgent first."""
        return (msgspec.structs.replace(self, more=()), *self.more)

    @property
    def name(self) -> str:
        """What people read in records: no two warnings of a sender have the same."""
        return name_of(self.identifier, self.block)


def name_of(identifier: str, block: int = 0) -> str:
    """Return what the record of a block of that warning is called."""
    ending = f"/{block + 1}" if block else ""
    if len(identifier) + len(ending) > NAME_MAX:
        ending = f"#{number_of(identifier)}{ending}"
    return identifier[: NAME_MAX - len(ending)] + ending


def key_of(sender: str, identifier: str) -> tuple[str, str]:
    """Return what a warning is known and referred to by; the case of a sender changes nothing."""
    return sender.casefold(), number_of(identifier)


def number_of(identifier: str) -> str:
    """Return the 64-bit number of a warning in 16 digits: a CAP document and its short form agree.

    A short alert carries the number alone and calls itself `#` and its digits; for a CAP document
    it is the beginning of the SHA-256 of its identifier.
    """
    if identifier.startswith("#") and len(identifier) == 17:
        return identifier[1:]
    return hashlib.sha256(identifier.encode()).hexdigest()[:16]


def alert_of(
    cap: CapAlert, site: Site, config: AlertConfig, *, level: str, class_max: MessageClass
) -> Alert | str:
    """Return what `cap` orders at `site`, or why nothing.

    Each `info` has its own class, period and event; those that share them are one warning in
    several languages. What comes first is the block that matters most.

    Parameters
    ----------
    cap : CapAlert
        From `parse_cap`.
    site : Site
        Where the node stands.
    config : AlertConfig
        For the default end, and which events have sounds of their own.
    level : str
        Tier of the authority that signed it.
    class_max : MessageClass
        The most that this authority may order.
    """
    if cap.status in ("System", "Draft"):
        return f"status {cap.status}"
    if cap.message_type in ("Ack", "Error"):
        return f"message type {cap.message_type}"
    if cap.scope != "Public":
        return f"scope {cap.scope}: not for loudspeakers"
    if cap.message_type == "Cancel":
        return _ending(cap, level, "cancel")
    here = [info for info in cap.infos if any(contains(area, site) for area in info.areas)]
    if not here and cap.faults:
        return f"may be for here, but {cap.faults[0]}"
    if not cap.infos:  # an Update too: one that says nothing ends nothing
        return "no info in it"
    if not here and cap.message_type == "Update":
        return _ending(cap, level, "leave")  # it supersedes what sounds here
    if not here:
        return "not for this place"
    sounding = [info for info in here if class_of(info) >= 0]
    if not sounding and cap.message_type == "Update":
        return _ending(cap, level, "leave")
    if not sounding:
        return "nothing to sound: past or unlikely"
    exercise = cap.status in ("Exercise", "Test")
    # An exercise takes nothing from the real thing.
    most = min(class_max, MessageClass.PRIORITY) if exercise else class_max
    shapes = blocks_of(
        sounding,
        cap.sent_s,
        default_s=config.expires_default_s,
        events=config.phrases,
        class_max=most,
    )
    kind: Literal["alert", "update"] = "update" if cap.message_type == "Update" else "alert"
    first, *others = (
        Alert(
            sender=cap.sender,
            identifier=cap.identifier,
            kind=kind,
            message_class=shape.message_class,
            level=level,
            event_code=shape.event_code,
            sent_s=cap.sent_s,
            effective_s=shape.effective_s,
            expires_s=shape.expires_s,
            onset_s=shape.onset_s,
            exercise=exercise,
            references=cap.references,
            spoken=_spoken(infos),
            block=number,
        )
        for number, (shape, infos) in enumerate(shapes)
    )
    return msgspec.structs.replace(first, more=tuple(others))


def item_of(
    alert: Alert, config: AlertConfig, languages: tuple[str, ...], *, at_s: int = 0
) -> ItemConfig | None:
    """Return `alert` as an item to play from `at_s` on, or None when it must not sound.

    An exercise is said to be one before and after, or does not sound at all. Without a stored
    phrase of its event the one of `any` speaks; a resource comes first and the phrase stands in.
    A hamlet of several languages hears each of them that there are words in.
    """
    phrase = config.phrases.get(alert.event_code, config.phrases.get(ANY_EVENT))
    if phrase is None or (alert.exercise and not config.exercise_phrase):
        return None
    parts = [PartConfig(kind="chime", duration_s=phrase.siren_s, media={"any": phrase.siren})]
    fetched = {one.language: one for one in alert.spoken if one.digest_sha1}
    known = [one for one in languages if one in fetched or one in phrase.text]
    for language in known[:LANGUAGES_MAX] or _others(fetched, phrase):
        parts += _words(language, fetched.get(language), phrase)
    if config.onset_phrase and alert.onset_s > at_s:
        said = PartConfig(kind="text", duration_s=config.onset_s, media=config.onset_phrase)
        parts.append(said)
    if alert.exercise:
        said = PartConfig(kind="text", duration_s=config.exercise_s, media=config.exercise_phrase)
        parts = [said, *parts, said]
    names = ("normal", "priority", "urgent")
    return ItemConfig(
        name=alert.name,
        start="00:00",
        parts=tuple(parts),
        message_class=names[alert.message_class],
        level=alert.level,
        repeat=config.repeat[names[alert.message_class]],
        interval_s=config.interval_s,
    )


def _ending(cap: CapAlert, level: str, kind: Literal["cancel", "leave"]) -> Alert:
    """Return what ends the warnings that `cap` refers to, and says nothing itself."""
    return Alert(
        sender=cap.sender,
        identifier=cap.identifier,
        kind=kind,
        message_class=0,
        level=level,
        event_code=ANY_EVENT,
        sent_s=cap.sent_s,
        effective_s=cap.sent_s,
        expires_s=cap.sent_s,
        exercise=cap.status in ("Exercise", "Test"),
        references=cap.references,
    )


def _spoken(infos: list[CapInfo]) -> tuple[Spoken, ...]:
    """Return the words of a warning, once in each language; a resource goes before none."""
    found: dict[str, Spoken] = {}
    for info in infos:
        language = re.split("[-_]", info.language)[0].lower()
        known = found.get(language)
        if known is None or not known.digest_sha1:
            found[language] = _resource(info, language)
    some = sorted(found.values(), key=lambda one: not one.digest_sha1)[:SPOKEN_LANGUAGES_MAX]
    return tuple(one for one in found.values() if one in some)


def _resource(info: CapInfo, language: str) -> Spoken:
    for one in info.resources:
        small = one.size_bytes is not None and one.size_bytes <= AUDIO_BYTES_MAX
        if one.mime_type.startswith("audio/") and one.digest_sha1 and one.uri and small:
            return Spoken(language, one.uri, one.digest_sha1, one.size_bytes or 0)
    return Spoken(language)


def _others(fetched: dict[str, Spoken], phrase: PhraseConfig) -> list[str]:
    """Return the language for a hamlet in none of whose languages there are words."""
    there = {**fetched, **phrase.text}
    return ["vi"] if "vi" in there else sorted(there)[:1]


def _words(language: str, spoken: Spoken | None, phrase: PhraseConfig) -> list[PartConfig]:
    """Return what is said in `language`: the resource, or the stored phrase in its stead."""
    parts: list[PartConfig] = []
    if spoken is not None:
        media = {language: f"sha1:{spoken.digest_sha1}"}
        parts.append(PartConfig(kind="text", duration_s=SPOKEN_MAX_S, media=media))
    stored = phrase.text.get(language)
    stored = stored or (min(phrase.text.items())[1] if spoken and phrase.text else None)
    if stored is not None:
        parts.append(
            PartConfig(
                kind="text",
                duration_s=phrase.text_s,
                media={language: stored},
                fallback=spoken is not None,
            )
        )
    return parts
