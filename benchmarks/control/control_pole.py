"""One governed node in the middle of anything, for `benchmarks.control.control_urgent`."""

import hashlib
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.control.urgent_disk import UrgentDisk
from node.config import JitterConfig, NodeConfig, ReceiveConfig
from node.control.calendar.programme import ItemConfig, PartConfig, ProgrammeConfig
from node.control.controller import Controller
from node.control.loudness.schedule import QuietHours, VolumeConfig
from node.control.orders import Session
from node.control.precedence import MessageClass, PriorityConfig
from node.control.settings import ControlConfig
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.control.warning.short_alert import encode_short
from node.events import Persist
from node.governed import GovernedSpeaker
from node.rtp import packet as rtp
from node.source.stored_sound import Recording
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ

AREA: Final = "vn/lang-son/huu-lien"
PERIOD_MS: Final = 10
"""The sound card asks this often (480 samples: docs/why.md)."""
DEVICE_MS: Final = 30
"""Three more periods of 10 ms wait in the card's buffer (480 x 4: docs/why.md)."""
DELAY_MS: Final = 400
"""`jitter.playout_delay_ms` as it ships."""

START_S: Final = 1_780_000_000
HUM: Final = 0.02
"""Amplitude of all that is not the siren."""

_PACKET_SAMPLES: Final = RATE_HZ // 50
_PERIOD_SAMPLES: Final = RATE_HZ * PERIOD_MS // 1000
_HUM_PAYLOAD: Final = b"\xf8\x00"  # one CELT frame of 20 ms (RFC 6716, section 3.1)
_SIREN_PAYLOAD: Final = b"\xf8\x01"
_AT: Final = np.arange(_PACKET_SAMPLES)
_HUM_SOUND: Final = (HUM * np.sin(2 * np.pi * _AT / 96)).astype(np.float32)
_SIREN_SOUND: Final = (0.5 * np.array([1, 0, -1, 0], np.float32))[_AT % 4]
_SIREN, _NEWS = "a" * 64, "b" * 64
_LIBRARY: Final = {
    _SIREN: Recording.of((_SIREN_PAYLOAD,) * 100),
    _NEWS: Recording.of((_HUM_PAYLOAD,) * 6000, tuple(range(0, 6000, 150))),
}
_ROOT, _PROVINCE = (SeedSigner(hashlib.sha256(name).digest()) for name in (b"root", b"province"))
_URGENT_SSRC: Final = 999
_SENDER: Final = ("10.0.0.1", 5004)


class Painter:
    """A decoder that paints each payload as the tone that its second byte names."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels, self.final_range = rate_hz, channels, 0

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Paint one packet.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """
        out[:_PACKET_SAMPLES] = (_SIREN_SOUND if payload[1] else _HUM_SOUND)[:, None]
        return _PACKET_SAMPLES

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        """Leave a hole.

        out  (samples or more, channels) float32, full scale 1.0
        """
        out[:samples] = 0.0
        return samples

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Leave a hole.

        payload  (bytes,) uint8, not read
        out      (n, channels) float32, full scale 1.0
        """
        return self.conceal(len(out), out)

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        """Leave a hole.

        payload, later  (bytes,) uint8, not read
        out             (n, channels) float32, full scale 1.0
        """
        return self.conceal(len(out), out)

    def remember(self) -> None:
        """Keep nothing: there is no memory."""

    def go_back(self) -> None:
        """Go nowhere."""

    def reset(self) -> None:
        """Forget nothing: there is no memory."""

    def copy(self) -> "Painter":
        """Return another."""
        return Painter(self.rate_hz, self.channels)


class _Stream:
    """A sender of hum that loses, delays, pauses and restarts; or of a siren that does not."""

    def __init__(self, ssrc: int, payload: bytes = _HUM_PAYLOAD) -> None:
        self.ssrc = ssrc
        self.speaks = True
        self._payload = payload
        self._sequence = self._samples = 0
        self._delayed: list[bytes] = []

    def due(self, rng: np.random.Generator) -> list[bytes]:
        """Return what arrives in these 20 ms."""
        chance = rng.random(4) if self._payload == _HUM_PAYLOAD else np.ones(4)
        if chance[0] < 0.02:
            self.speaks = not self.speaks
        if chance[1] < 0.003:
            self._sequence += 20_000  # the sender starts anew
            self._samples += 1 << 28
        arriving, self._delayed = self._delayed, []
        self._samples += _PACKET_SAMPLES
        if not self.speaks:
            return arriving
        self._sequence += 1
        packet = self.packet()
        if chance[2] < 0.05:
            return arriving  # lost
        if chance[3] < 0.05:
            self._delayed.append(packet)
            return arriving
        return [packet, *arriving]

    def packet(self) -> bytes:
        """Return the present packet."""
        return rtp.build(
            self._payload,
            sequence=self._sequence & 0xFFFF,
            timestamp=self._samples & 0xFFFF_FFFF,
            ssrc=self.ssrc,
            payload_type=96,
            marker=False,
        )


class Pole:
    """A governed node, its card, its disk, its broker and its senders, drawn from `rng`."""

    def __init__(self, rng: np.random.Generator, disk: UrgentDisk | None = None) -> None:
        self._rng = rng
        self._disk = disk
        self.hum = HUM
        ducks: tuple[dict[str, float], ...] = ({}, {}, {"urgent over normal": -20.0})
        duck_db = ducks[int(rng.integers(0, 3))]
        self.ducks = bool(duck_db)
        priority = PriorityConfig(
            clash=("upper_first", "commune_first")[int(rng.integers(0, 2))],
            tie_break=("first", "newest")[int(rng.integers(0, 2))],
            duck_db=duck_db,
        )
        config = NodeConfig(
            name="bench",
            jitter=JitterConfig(playout_delay_ms=DELAY_MS),
            receive=ReceiveConfig(asks_for_lost=bool(rng.integers(0, 2))),
        )
        self._speaker = SpeakerNode(config, decoder_factory=Painter, priority=priority)
        self._controller = Controller("bench", _control(rng, priority), (), {}, _PROVINCE)
        self._node = GovernedSpeaker(
            self._speaker, self._controller, _LIBRARY, playout_delay_ms=DELAY_MS
        )
        self.now_ns = NS_PER_S + int(rng.integers(0, NS_PER_S))
        self._card_ns = self.now_ns
        self.asked_ns = 0
        """When the card asked for the last period: its first sample left `render` then."""
        self._counter = self._number = self._ticks = 0
        trusted = bool(rng.random() < 0.9)
        self._node.receive_time(START_S * NS_PER_S, self.now_ns, synchronised=trusted)
        claim = Certificate(
            "p", _PROVINCE.public_key, "province", "vn", MessageClass.URGENT, 1 << 39
        )
        self._order(_ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim), urgent=True)
        self._streams = [_Stream(ssrc) for ssrc in range(int(rng.integers(0, 4)))]
        for stream in self._streams:
            kind = MessageClass(int(rng.integers(0, 2)))
            self._announce(stream.ssrc, kind)
        self._announce(_URGENT_SSRC, MessageClass.URGENT)

    @property
    def sounding(self) -> int:
        """How many sources the arbiter grants."""
        return len(self._speaker.sounding())

    def wander(self) -> None:
        """Let 20 to 600 ms pass, and end somewhere between two periods of the card."""
        rng = self._rng
        for _ in range(int(rng.integers(2, 60))):
            self.period()
        if rng.random() < 0.02:
            self._card_ns += int(rng.integers(20, 800)) * NS_PER_MS  # the card stalled
            self.now_ns = self._card_ns
        self.now_ns += int(rng.integers(0, PERIOD_MS * NS_PER_MS)) - PERIOD_MS * NS_PER_MS + 1

    def warning(self) -> bytes:
        """Return the signed bytes of a warning."""
        self._number += 1
        content = encode_short("alert", self._number)
        return self._sealed(_PROVINCE, Kind.SHORT_ALERT, content, MessageClass.URGENT)

    def keep_ahead(self, sealed: bytes) -> float:
        """Keep an order before it acts; return how long that takes, in ms of this machine."""
        if self._disk is None:
            return 0.0
        return self._disk.keep_ahead(lambda data, _: self._node.foresee(data, self.now_ns), sealed)

    def receive(self, sealed: bytes) -> None:
        """Let an order act now."""
        self._node.receive_message("cmd", sealed, self.now_ns)

    def cancel(self) -> None:
        """End that warning."""
        number = (1 << 32) + self._number
        content = encode_short("cancel", number, about=self._number)
        self._order(_PROVINCE, Kind.SHORT_ALERT, content, urgent=True)

    def speak(self) -> None:
        """Let an announced urgent stream begin now."""
        self._streams.append(_Stream(_URGENT_SSRC, _SIREN_PAYLOAD))
        self._ticks += self._ticks % 2

    def period(self) -> NDArray[np.float32]:
        """Pass a period of the card; return its sound: (n,) float32, full scale 1.0."""
        self.now_ns = self.asked_ns = self._card_ns
        if self._ticks % 2 == 0:
            for stream in self._streams:
                for packet in stream.due(self._rng):
                    self._node.receive_datagram(packet, _SENDER, self.now_ns)
        self._ticks += 1
        due_ns = self._node.next_deadline_ns()
        if due_ns is not None and due_ns <= self.now_ns:
            self._node.handle_deadline(self.now_ns)
        changes: dict[str, bytes] = {}
        while (event := self._node.next_event()) is not None:
            if isinstance(event, Persist):
                changes[event.key] = event.value
        if self._disk is not None:
            self._disk.keep(changes)
        out = np.zeros((_PERIOD_SAMPLES, 1), np.float32)
        self._node.render(out, self.now_ns + DEVICE_MS * NS_PER_MS)
        self._card_ns += PERIOD_MS * NS_PER_MS
        self.now_ns = self._card_ns
        return out[:, 0]

    def _announce(self, ssrc: int, kind: MessageClass) -> None:
        self._order(_PROVINCE, Kind.SESSION, msgspec.json.encode(Session(ssrc)), kind=kind)

    def _order(
        self,
        by: SeedSigner,
        kind_of: Kind,
        content: bytes,
        *,
        urgent: bool = False,
        kind: MessageClass = MessageClass.NORMAL,
    ) -> None:
        self.receive(self._sealed(by, kind_of, content, MessageClass.URGENT if urgent else kind))

    def _sealed(self, by: SeedSigner, kind_of: Kind, content: bytes, kind: MessageClass) -> bytes:
        self._counter += 1
        message = Message(
            kind=kind_of,
            key_id=by.key_id,
            counter=self._counter,
            issued_s=START_S,
            ttl_s=3600,
            message_class=kind,
            area=AREA,
            content=content,
        )
        return seal(message, by)


def _control(rng: np.random.Generator, priority: PriorityConfig) -> ControlConfig:
    """Return orders of a commune: quiet hours or not, a stored programme or not."""
    minutes = (START_S // 60 + 7 * 60) % 1440  # the wall clock in Viet Nam when it begins
    now = f"{minutes // 60:02}:{minutes % 60:02}"
    news = ItemConfig(
        name="news",
        start=now,
        parts=(PartConfig(kind="file", duration_s=120, media={"vi": _NEWS}),),
        missed="late",
    )
    quiet = QuietHours(name="night", volume_max=10, start=now, end=now)
    return ControlConfig(
        root_public_key=_ROOT.public_key.hex(),
        area=AREA,
        build_utc_s=START_S - 1,
        unsigned_packets="play",
        priority=priority,
        alert=AlertConfig(phrases={"any": PhraseConfig(siren=_SIREN)}),
        volume=VolumeConfig(quiet_hours=(quiet,) if rng.integers(0, 2) else ()),
        programme=ProgrammeConfig(items=(news,) if rng.integers(0, 2) else ()),
    )
