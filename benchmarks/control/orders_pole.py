"""A node under orders as `benchmarks.control.orders` watches it, and the keys that order it."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from benchmarks.control.orders_truth import ROOT
from node.control.controller import Controller
from node.control.events import StartPart
from node.control.precedence import MessageClass, PriorityConfig
from node.control.settings import ControlConfig
from node.control.trust.signature import SeedSigner
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.control.warning.alert_state import decode_book
from node.events import Persist, Publish
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
TURNS_MAX: Final = 2000
"""Deadlines met within one wait; more is a busy loop."""


def _signer(name: str) -> SeedSigner:
    return SeedSigner(hashlib.sha256(name.encode()).digest())


SIGNERS: Final = {name: _signer(name) for name in (ROOT, *KEYS, "stranger")}
BY_ID: Final = {signer.key_id.hex(): name for name, signer in SIGNERS.items()}


@dataclass(slots=True)
class Seen:
    """What a node shows from outside."""

    sessions: dict[int, tuple[int, str]]
    warnings: set[tuple[str, str]]
    """Number and key of the open ones."""
    playing: set[str]
    loud: dict[tuple[str, int], int]
    muted: dict[str, bool]


class Watched:
    """A node with its disk and its machine's clock, as its shell sees it."""

    def __init__(self) -> None:
        self.disk: dict[str, bytes] = {}
        self.now_ns = 10**12
        self.offset_ns = START_S * NS_PER_S - self.now_ns
        self.parts: list[StartPart] = []
        self.over: set[tuple[str, str]] = set()
        """Warnings that have a record: number and key."""
        root = SIGNERS[ROOT].public_key.hex()
        self._config = replace(CONFIG, root_public_key=root)
        self.boot(trusted=True)

    @property
    def utc_s(self) -> int:
        """Civil time as it truly is."""
        return (self.now_ns + self.offset_ns) // NS_PER_S

    def boot(self, *, trusted: bool) -> None:
        """Lose the power, and start with what the disk has."""
        self.node = Controller("pole", self._config, (), dict(self.disk), None)
        self.read_clock(trusted=trusted)

    def read_clock(self, *, trusted: bool, wrong_s: int = 0) -> None:
        """Let the machine's clock be read; it may be wrong."""
        utc_ns = self.now_ns + self.offset_ns + wrong_s * NS_PER_S
        self.node.receive_time(utc_ns, self.now_ns, synchronised=trusted)
        self.take()

    def send(self, sealed: bytes) -> str:
        """Give it an order; return the fate."""
        fate = self.node.receive_message("cmd", sealed, self.now_ns)
        self.take()
        return fate

    def take(self) -> None:
        """Do what it asks for; the horn is whoever's began last."""
        while (event := self.node.next_event()) is not None:
            if isinstance(event, Persist):
                self.disk[event.key] = event.value
            elif isinstance(event, StartPart):
                self.parts.append(event)
                self.node.receive_grants((event.source,), self.now_ns)
            elif isinstance(event, Publish) and event.topic == "proof":
                record = msgspec.json.decode(event.payload)["record"]
                self.over.add((record["name"].removeprefix("#"), record["signed_by"]))

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        end_ns = self.now_ns + seconds * NS_PER_S
        for _ in range(TURNS_MAX):
            due_ns = self.node.next_deadline_ns()
            if due_ns is None or due_ns > end_ns:
                break
            self.now_ns = max(due_ns, self.now_ns + 1)
            self.node.handle_deadline(self.now_ns)
            self.take()
        self.now_ns = max(end_ns, self.now_ns)
        self.node.handle_deadline(self.now_ns)
        self.take()

    def seen(self) -> Seen:
        """Return what it shows now."""
        node, status = self.node, self.node.status(self.now_ns)
        kinds = {n: node.source_class(n) for n in SSRCS}
        state = decode_book(self.disk.get("alerts"))
        return Seen(
            sessions={n: (int(k[0]), k[1]) for n, k in kinds.items() if k is not None},
            warnings={(one.key[1], one.signed_by) for one in state.waiting} if state else set(),
            playing=set(status["playing"].values()),  # type: ignore[attr-defined]  # JSON-able
            loud={
                (tier, kind): node.loudness(kind, self.now_ns, level=tier)[0].volume
                for tier in TIERS
                for kind in (MessageClass.NORMAL, MessageClass.URGENT)
            },
            muted={tier: node.lowest_class(tier) is MessageClass.URGENT for tier in TIERS},
        )
