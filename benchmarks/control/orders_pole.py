"""A node under orders as `benchmarks.control.orders` watches it, and the keys that order it."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from benchmarks.control.orders_sound import Heard, Horn
from benchmarks.control.orders_truth import ROOT
from node.control.calendar.programme import ItemConfig, ProgrammeConfig
from node.control.controller import Controller
from node.control.events import ControllerEvent, StartPart, StopPart
from node.control.orders import Acknowledgement
from node.control.precedence import SILENT_DB, MessageClass, PriorityConfig
from node.control.settings import ControlConfig
from node.control.trust.message import Message, open_envelope
from node.control.trust.roots import digest_of
from node.control.trust.signature import SeedSigner
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.control.warning.alert_state import decode_book
from node.events import Note, Persist, Publish
from node.governed import GovernedSpeaker
from node.rtp import packet as rtp
from node.source.stored_sound import Recording
from node.units import NS_PER_S

HERE: Final = "vn/province/commune/hamlet"
AREAS: Final = ("", "vn", "vn/province", "vn/province/commune", HERE, "vn/elsewhere")
TIERS: Final = PriorityConfig().tiers
KEYS: Final = tuple(f"{tier} {n}" for tier in TIERS for n in (1, 2))
START_S: Final = 1_790_000_000
NAME: Final = "office"
"""Of every key: so all of them speak of the same numbers."""

CONFIG: Final = ControlConfig(
    root_public_key="0" * 64,
    area=HERE,
    build_utc_s=START_S - 86_400,
    unsigned_packets="play",
    alert=AlertConfig(phrases={"any": PhraseConfig(siren="a" * 64)}),
)
SSRCS: Final = range(1, 9)
STREAMS: Final = ("voice", "radio")
SOUND: Final = "c" * 64
"""What the items play that relay nothing."""
_LIBRARY: Final = {name: Recording.of(()) for name in (SOUND, "a" * 64)}
_DELAY_MS: Final = 100
TURNS_MAX: Final = 2000
"""Deadlines met within one wait; more is a busy loop."""


def _signer(name: str) -> SeedSigner:
    return SeedSigner(hashlib.sha256(name.encode()).digest())


SIGNERS: Final = {name: _signer(name) for name in (ROOT, *KEYS, "stranger")}
BY_ID: Final = {signer.key_id.hex(): name for name, signer in SIGNERS.items()}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node shows from outside."""

    utc_s: int
    """Civil time as it believes; 0 while it knows none."""
    is_own: bool
    """Whether its machine's own clock says so, no signature."""
    open: frozenset[int]
    """Announced streams, with a name or without."""
    sessions: dict[int, tuple[int, str]]
    """Those without: class and tier."""
    warnings: frozenset[tuple[str, str]]
    """Number and key of the open ones."""
    ends_s: dict[tuple[str, str], int]
    """Civil time at which each of those is over by itself."""
    playing: frozenset[str]
    heard: dict[int, Heard]
    """As what each live stream may be heard."""
    holder: tuple[int, Heard] | None
    """Who has the horn: a stream or a stored sound."""
    lowest: dict[str, MessageClass]
    """The lowest class that no mute silences, by tier."""


class _Noted(Controller):
    """A controller whose answers and parts are noted."""

    fate = ""

    def __init__(self, config: ControlConfig, stored: dict[str, bytes]) -> None:
        super().__init__("pole", config, (), stored, _signer("pole"))
        self.begun: list[StartPart] = []
        self.running: dict[int, StartPart] = {}

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> str:
        """Take an order, and note its fate."""
        self.fate = super().receive_message(topic, payload, now_ns)
        return self.fate

    @property
    def knows_by_itself(self) -> bool:
        """Whether it knows the time by its machine's own clock."""
        return self._clock.is_own

    def next_event(self) -> ControllerEvent | None:
        """Note what begins and ends."""
        event = super().next_event()
        if isinstance(event, StartPart):
            self.begun.append(event)
            self.running[event.source] = event
        elif isinstance(event, StopPart):
            self.running.pop(event.source, None)
        return event


class Watched:
    """A node with its disk and its machine's clock, as its shell sees it."""

    def __init__(
        self,
        items: tuple[ItemConfig, ...],
        *,
        root: SeedSigner = SIGNERS[ROOT],
        next_root: SeedSigner | None = None,
    ) -> None:
        self.disk: dict[str, bytes] = {}
        self.now_ns = 10**12
        self.offset_ns = START_S * NS_PER_S - self.now_ns
        self.over: set[tuple[str, str]] = set()
        """Warnings that have a record: number and key."""
        self._config = replace(
            CONFIG,
            root_public_key=root.public_key.hex(),
            next_root="" if next_root is None else digest_of(next_root.public_key).hex(),
            programme=ProgrammeConfig(items=items),
        )
        self.answers: list[Acknowledgement] = []
        """To the last order."""
        self.notes: list[str] = []
        """What the log says since it came."""
        self.was_kept = False
        """Whether the last order was on the disk before it acted."""
        self._question = b""
        self._seen: Seen | None = None
        self._sequence = 0
        self.sent = 0
        """Orders given to it."""
        self.boot(trusted=True)

    @property
    def utc_s(self) -> int:
        """Civil time as it truly is."""
        return (self.now_ns + self.offset_ns) // NS_PER_S

    def boot(self, *, trusted: bool) -> None:
        """Lose the power, and start with what the disk has."""
        self.control = _Noted(self._config, dict(self.disk))
        self._horn = Horn()
        self._node = GovernedSpeaker(
            self._horn,  # type: ignore[arg-type]  # what of SpeakerNode a governed one uses
            self.control,
            _LIBRARY,
            playout_delay_ms=_DELAY_MS,
        )
        self.read_clock(trusted=trusted)

    def read_clock(self, *, trusted: bool, wrong_s: int = 0) -> None:
        """Let the machine's clock be read; it may be wrong."""
        utc_ns = self.now_ns + self.offset_ns + wrong_s * NS_PER_S
        self._node.receive_time(utc_ns, self.now_ns, synchronised=trusted)
        self._take()

    def send(self, sealed: bytes) -> str:
        """Give it an order; return the fate."""
        self.sent += 1
        self.answers.clear()
        self.notes.clear()
        kept = self._node.foresee(sealed, self.now_ns)
        self.was_kept = kept is not None
        if kept is not None:
            self.disk[kept.key] = kept.value
        self._node.receive_message("cmd", sealed, self.now_ns)
        self._take()
        return self.control.fate

    def ask(self, nonce: bytes) -> bool:
        """Give it random bytes; return whether it has asked for the time by them."""
        self._question = b""
        self._node.receive_nonce(nonce, self.now_ns)
        self._take()
        return self._question == nonce

    def root_number(self) -> int:
        """Return how many roots it has followed."""
        return int(str(self.control.status(self.now_ns).get("root_number", 0)))

    def speak(self, ssrc: int) -> bool:
        """Send it a packet of a stream; return whether it was taken for sound."""
        self._sequence += 1
        packet = rtp.build(
            b"\xf8\x00",
            sequence=self._sequence,
            timestamp=0,
            ssrc=ssrc,
            payload_type=96,
            marker=False,
        )
        self.now_ns += 1
        self._node.receive_datagram(packet, ("10.0.0.1", 5004), self.now_ns)
        self._take()
        return self._horn.let_in(ssrc, self.now_ns)

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        end_ns = self.now_ns + seconds * NS_PER_S
        for _ in range(TURNS_MAX):
            due_ns = self._node.next_deadline_ns()
            if due_ns is None or due_ns > end_ns:
                break
            self._pass_to(max(due_ns, self.now_ns + 1))
        self._pass_to(max(end_ns, self.now_ns))

    def seen(self) -> Seen:
        """Return what it shows now."""
        if self._seen is None:
            self._seen = self._look()
        return self._seen

    def loud(self, message_class: MessageClass, tier: str) -> int:
        """Return the volume for a class of a tier."""
        return self.control.loudness(message_class, self.now_ns, level=tier)[0].volume

    def gain_db(self, message_class: int, tier: str) -> float:
        """Return how loud a class of a tier is to be now."""
        if message_class < self.control.lowest_class(tier):
            return SILENT_DB
        kind = MessageClass(message_class)
        return self.control.loudness(kind, self.now_ns, level=tier)[1].gain_db

    def _pass_to(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self._node.handle_deadline(now_ns)
        self._take()

    def _take(self) -> None:
        """Do what it asks for, as its shell does."""
        self._seen = None
        while (event := self._node.next_event()) is not None:
            if isinstance(event, Persist):
                self.disk[event.key] = event.value
            elif isinstance(event, Publish) and event.topic == "proof":
                record = msgspec.json.decode(event.payload)["record"]
                self.over.add((record["name"].removeprefix("#"), record["signed_by"]))
            elif isinstance(event, Publish) and event.topic == "acknowledgement":
                answer = open_envelope(event.payload)
                assert isinstance(answer, Message), "a node seals what it answers"
                self.answers.append(msgspec.json.decode(answer.content, type=Acknowledgement))
            elif isinstance(event, Publish) and event.topic == "time":
                self._question = event.payload
            elif isinstance(event, Note):
                self.notes.append(event.text)

    def _look(self) -> Seen:
        node, status = self.control, self.control.status(self.now_ns)
        kinds = {n: node.source_class(n) for n in SSRCS}
        state = decode_book(self.disk.get("alerts"))
        waiting = state.waiting if state else ()
        names = status["sessions"]
        sounding = self._horn.sounding()
        return Seen(
            utc_s=int(str(status["utc_s"])) if status["clock_trusted"] else 0,
            is_own=node.knows_by_itself,
            open=frozenset(int(name, 16) for name in names),  # type: ignore[attr-defined]  # JSON-able
            sessions={n: (int(k[0]), k[1]) for n, k in kinds.items() if k is not None},
            warnings=frozenset((one.key[1], one.signed_by) for one in waiting),
            ends_s={(one.key[1], one.signed_by): one.expires_s for one in waiting},
            playing=frozenset(one.name for one in node.running.values()),
            heard=self._horn.streams(),
            holder=(sounding[0], self._horn.sources[sounding[0]]) if sounding else None,
            lowest={tier: node.lowest_class(tier) for tier in TIERS},
        )
