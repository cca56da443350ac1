"""Histories of one sender and its way to one node: everything that may befall stamps and delays.

A history is a calm stream that is disturbed some times and then is calm to its end. `packets_of`
writes it out as what arrives when; nothing in it is random any more, so that a history that a node
fails on can be kept as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from node.rtp import packet as rtp
from node.rtp import rtcp
from node.rtp.rtcp_packet import Goodbye
from node.units import NS_PER_MS, RATE_HZ, SAMPLES_PER_MS, samples_to_ns

PAYLOADS: Final = {
    120: b"\xe0" + bytes(41),
    240: b"\xe8" + bytes(41),
    480: b"\xf0" + bytes(41),
    960: b"\xf8" + bytes(41),
    1920: b"\xf9" + bytes(42),
    2880: b"\xfb\x03" + bytes(42),
    5760: b"\xfb\x06" + bytes(42),
}
"""An Opus payload (CELT, fullband) for each duration in samples."""

DELAYS_MS: Final = (100, 200, 400, 1000, 3000)
CLOCKS_HZ: Final = (48_000, 44_100, 8_000, 16_000, 90_000)
KINDS: Final = (
    "stamps", "path", "stamps and path", "numbers", "restart", "from zero", "repeats", "held",
    "pause", "standing pause", "new source", "new source after goodbye", "wobble", "swaps",
    "losses", "stall", "durations", "port", "keep-alives", "announcements",
    "echoes", "pace",
)  # fmt: skip
"""What may happen. `Disturbance.size_ms` and `count` say how much of it."""

SENDERS_KINDS: Final = frozenset(
    (
        "stamps", "numbers", "restart", "from zero", "pause", "standing pause", "new source",
        "new source after goodbye", "wobble", "durations", "keep-alives", "pace",
    )
)  # fmt: skip
"""Those that befall every node alike."""

PATH_MAX_MS: Final = 4000
_PATH_MS: Final = 300
_ANSWERING_PATH_MS: Final = 40
_CALM_TAIL_MS: Final = 4500
_OWN_DELAY_MAX_MS: Final = 2000
"""Of a node that chooses its playout delay by itself."""
_PACKETS_MAX: Final = 6000
_ECHO_NS: Final = 500 * NS_PER_MS
"""So often a way that repeats old packets does so, from the disturbance to the end."""
_HOST: Final = "10.0.0.9"


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One thing that happens, after `after_ms` of a stream that is otherwise left alone."""

    kind: str
    after_ms: int
    size_ms: int
    """Of a jump (of stamps, of the path; either sign), a pause, a stall, or for how long held."""
    count: int
    """Packets concerned; for `wobble` samples, for `pace` per cent that it is off."""


@dataclass(frozen=True, slots=True)
class History:
    """One stream and what befell it."""

    mode: str
    delay_ms: int
    packet_samples: int
    clock_hz: int
    sequence: int
    timestamp: int
    jitter_ms: int
    seed: int
    disturbances: tuple[Disturbance, ...]
    answers: bool = False
    """Whether the sender answers when it is asked for the time; its way is a short one then."""


class Sent(NamedTuple):
    """What a sender knows of one packet of its own."""

    sent_ns: int
    stamp: int
    ssrc: int
    host: str
    port: int
    path_ns: int


class Arrival(NamedTuple):
    """One datagram at the node."""

    at_ns: int
    data: bytes
    source: tuple[str, int]
    sent_ns: int
    """When its sound had been captured; -1 for one that is no fresh sound."""
    samples: int


@dataclass(frozen=True, slots=True)
class Story:
    """A history written out."""

    arrivals: tuple[Arrival, ...]
    calm_ns: int
    """From here on what arrives is good, in order and at its pace."""
    end_ns: int
    path_ns: int
    """Of the last, calm part; without jitter."""
    path_min_ns: int
    sent: tuple[Sent, ...]


class _Stream:
    """The sender, the network, and what was sent so far."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.rng = np.random.default_rng(history.seed)
        self.now_ns = 0
        self.ssrc = 0x10
        self.port = 5004
        self.sequence = history.sequence
        self.stamp = float(history.timestamp)
        self.samples = history.packet_samples
        self.path_ms = _ANSWERING_PATH_MS if history.answers else _PATH_MS
        self.path_min_ms = self.path_ms
        self.wobble = 0
        self.arrivals: list[Arrival] = []
        self.sent: list[Arrival] = []
        self.known: list[Sent] = []
        self.held_until_ns = 0
        self.echo = (0, 0)
        self.echo_due_ns = 0
        self.first_renumbered = 0
        self.calm_ns = 0

    def send(self, *, delay_ms: int = 0, lost: bool = False) -> None:
        """Send the next packet at its time."""
        history = self.history
        wobble = min(self.wobble, self.samples // 4)
        off = int(self.rng.integers(-wobble, wobble + 1)) if wobble else 0
        data = rtp.build(
            PAYLOADS[self.samples],
            sequence=self.sequence & 0xFFFF,
            timestamp=(int(self.stamp) + off) & 0xFFFF_FFFF,
            ssrc=self.ssrc,
            payload_type=96,
            marker=False,
        )
        path_ns = self.path_ms * NS_PER_MS
        self.known.append(Sent(self.now_ns, int(self.stamp), self.ssrc, _HOST, self.port, path_ns))
        self.sequence += 1
        self.stamp += self.samples * history.clock_hz / RATE_HZ
        sent_ns = self.now_ns
        self.now_ns += samples_to_ns(self.samples)
        jitter_ns = history.jitter_ms * NS_PER_MS
        jitter_ns = int(self.rng.integers(0, jitter_ns + 1)) if jitter_ns else 0
        at_ns = sent_ns + (self.path_ms + delay_ms) * NS_PER_MS + jitter_ns
        at_ns = max(at_ns, self.held_until_ns)
        # No two arrive in one instant: an arrival names its packet.
        one = Arrival(at_ns + len(self.arrivals), data, (_HOST, self.port), sent_ns, self.samples)
        self.sent.append(one)
        if not lost:
            self.arrivals.append(one)
        self.calm_ns = max(self.calm_ns, at_ns) if delay_ms or lost else self.calm_ns
        if self.echo[0] and self.now_ns >= self.echo_due_ns:
            self.repeat(*self.echo)
            self.echo_due_ns = self.now_ns + _ECHO_NS

    def send_some(
        self, count: int, *, delay_ms: int = 0, every: int = 1, lost: bool = False
    ) -> None:
        """Send `count` packets, each `every`th of them late or all of them lost."""
        for i in range(count):
            self.send(delay_ms=0 if i % every else delay_ms, lost=lost)

    def run(self, duration_ms: int, *, calm: bool = False) -> None:
        """Send packets for so long, the `calm` end also where there are many already."""
        end_ns = self.now_ns + duration_ms * NS_PER_MS
        while self.now_ns < end_ns and (calm or len(self.sent) < _PACKETS_MAX):
            self.send()

    def run_at_pace(self, duration_ms: int, percent: int) -> None:
        """Send packets for so long, at that part of the pace at which they last."""
        end_ns = self.now_ns + duration_ms * NS_PER_MS
        while self.now_ns < end_ns and len(self.sent) < _PACKETS_MAX:
            begun_ns = self.now_ns
            self.send()
            self.now_ns = begun_ns + samples_to_ns(self.samples) * 100 // percent

    def settle(self) -> None:
        """Note that the stream is as it should be from the next packet on."""
        self.calm_ns = max(self.calm_ns, self.now_ns + self.path_ms * NS_PER_MS)

    def settle_echoes(self) -> None:
        """Wait until no packet is repeated whose numbers mean another one since.

        A number is all by which a receiver knows a packet that it has (RFC 3550, 5.1): as long as
        the way repeats packets of before the sender counted back, up to 12 of every half second
        come first under numbers that the fresh ones still have to come under, and which of the two
        is the sound nobody can say. That is a disturbance that goes on, by at most the 612 packets
        that a way looks back; from then on what arrives is good, and the node must sound.
        """
        left = self.first_renumbered + sum(self.echo) - len(self.sent)
        if self.first_renumbered and self.echo[0] and left > 0:
            left_ns = samples_to_ns(left * self.samples) + _ECHO_NS
            self.calm_ns = max(self.calm_ns, self.now_ns + left_ns + self.path_ms * NS_PER_MS)

    def jump(self, by_ms: int) -> None:
        self.stamp += by_ms * self.history.clock_hz / 1000

    def move_path(self, by_ms: int, *, stamps_by_ms: int = 0) -> None:
        self.jump(stamps_by_ms)
        self.calm_ns = max(self.calm_ns, self.now_ns + self.path_ms * NS_PER_MS)
        self.path_ms = min(max(0, self.path_ms + by_ms), PATH_MAX_MS)
        self.path_min_ms = min(self.path_min_ms, self.path_ms)

    def pause(self, size_ms: int, *, stands: bool) -> None:
        self.now_ns += abs(size_ms) * NS_PER_MS
        if not stands:
            self.jump(abs(size_ms))

    def repeat(self, count: int, age_packets: int) -> None:
        """Let packets of the past arrive once more, all at once."""
        first = max(0, len(self.sent) - 1 - age_packets)
        at_ns = self.now_ns + self.path_ms * NS_PER_MS
        for one in self.sent[first : first + count]:
            if self.echo[0] and one.source[1] != self.port:
                continue
            again = Arrival(at_ns + len(self.arrivals), one.data, one.source, -1, 0)
            self.arrivals.append(again)

    def goodbye(self) -> None:
        data = rtcp.build([rtcp.ReceiverReport(self.ssrc, ()), Goodbye((self.ssrc,))])
        at_ns = self.now_ns + self.path_ms * NS_PER_MS + len(self.arrivals)
        self.arrivals.append(Arrival(at_ns, data, (_HOST, self.port), -1, 0))

    def keep_alives(self, count: int) -> None:
        """Send packets that hold nothing but padding, each with a number of its own."""
        for _ in range(count):
            data = bytearray(
                rtp.build(
                    bytes(19) + b"\x14",
                    sequence=self.sequence & 0xFFFF,
                    timestamp=int(self.stamp) & 0xFFFF_FFFF,
                    ssrc=self.ssrc,
                    payload_type=96,
                    marker=False,
                )
            )
            data[0] |= 0x20
            self.sequence += 1
            at_ns = self.now_ns + self.path_ms * NS_PER_MS + len(self.arrivals)
            self.arrivals.append(Arrival(at_ns, bytes(data), (_HOST, self.port), -1, 0))
            self.send()


def _disturb(stream: _Stream, what: Disturbance) -> None:
    """Let one thing happen."""
    size_ms, count = what.size_ms, what.count
    actions: dict[str, Callable[[], object]] = {
        "stamps": lambda: stream.jump(size_ms),
        "path": lambda: stream.move_path(size_ms),
        "stamps and path": lambda: stream.move_path(size_ms, stamps_by_ms=-size_ms // 2),
        "numbers": lambda: _set_numbers(stream, size_ms),
        "restart": lambda: _restart(stream, size_ms),
        "from zero": lambda: _from_zero(stream, abs(size_ms)),
        "repeats": lambda: stream.repeat(count, abs(size_ms)),
        "held": lambda: stream.send_some(min(count, 12), delay_ms=abs(size_ms)),
        "pause": lambda: stream.pause(size_ms, stands=False),
        "standing pause": lambda: stream.pause(size_ms, stands=True),
        "new source": lambda: _new_source(stream, abs(size_ms), goodbye=False),
        "new source after goodbye": lambda: _new_source(stream, abs(size_ms), goodbye=True),
        "wobble": lambda: setattr(stream, "wobble", count),
        "swaps": lambda: stream.send_some(min(count, 40), delay_ms=25, every=2),
        "losses": lambda: stream.send_some(min(count, 60), lost=True),
        "stall": lambda: setattr(
            stream,
            "held_until_ns",
            stream.now_ns + (stream.path_ms + abs(size_ms)) * NS_PER_MS,
        ),
        "durations": lambda: setattr(stream, "samples", sorted(PAYLOADS)[count % len(PAYLOADS)]),
        "port": lambda: setattr(stream, "port", 1024 + (stream.port + count) % 60_000),
        "keep-alives": lambda: stream.keep_alives(min(count, 20)),
        "echoes": lambda: setattr(stream, "echo", (min(count, 12), min(abs(size_ms), 600))),
        "pace": lambda: _change_pace(stream, size_ms, count),
        "announcements": lambda: _announcements(stream, abs(size_ms), min(count, 8)),
    }
    actions[what.kind]()
    stream.settle()
    stream.calm_ns = max(stream.calm_ns, stream.held_until_ns)


def _restart(stream: _Stream, size_ms: int) -> None:
    """Begin anywhere, after a pause of a tenth."""
    stream.now_ns += abs(size_ms) // 10 * NS_PER_MS
    stream.sequence = int(stream.rng.integers(0, 1 << 16))
    stream.stamp = float(stream.rng.integers(0, 1 << 32))


def _set_numbers(stream: _Stream, by: int) -> None:
    """Count on from other numbers; from earlier ones each will mean two packets."""
    if by < 0:
        stream.first_renumbered = len(stream.sent)
    stream.sequence += by


def _from_zero(stream: _Stream, pause_ms: int) -> None:
    """Begin with the numbers of the beginning."""
    stream.first_renumbered = len(stream.sent)
    stream.now_ns += max(pause_ms, 500) * NS_PER_MS
    stream.sequence = stream.history.sequence
    stream.stamp = float(stream.history.timestamp)


def _change_pace(stream: _Stream, lasts_ms: int, off_percent: int) -> None:
    """Send more slowly for a while, as a computer that has too much to do; or faster."""
    percent = 100 - min(off_percent, 50) if lasts_ms > 0 else 100 + min(off_percent, 30)
    stream.run_at_pace(abs(lasts_ms), percent)


def _announcements(stream: _Stream, pause_ms: int, count: int) -> None:
    """Speak under a new SSRC each, for a second, without goodbye."""
    for _ in range(count):
        _new_source(stream, pause_ms % 1000, goodbye=False)
        stream.run(1000)


def _new_source(stream: _Stream, pause_ms: int, *, goodbye: bool) -> None:
    if goodbye:
        stream.goodbye()
    stream.now_ns += pause_ms * NS_PER_MS
    stream.ssrc += 1
    stream.port += 2
    _restart(stream, 0)


def story_of(history: History) -> Story:
    """Write a history out."""
    stream = _Stream(history)
    for what in history.disturbances:
        stream.run(what.after_ms)
        _disturb(stream, what)
    stream.settle()
    stream.settle_echoes()
    delay_ms = history.delay_ms if history.mode == "synchronised" else _OWN_DELAY_MAX_MS
    tail_ms = delay_ms + _CALM_TAIL_MS
    settles_ms = max(0, stream.calm_ns - stream.now_ns) // NS_PER_MS
    stream.run(settles_ms + tail_ms, calm=True)
    arrivals = sorted(stream.arrivals, key=lambda one: one.at_ns)
    return Story(
        tuple(arrivals),
        stream.calm_ns,
        stream.now_ns + stream.path_ms * NS_PER_MS,
        stream.path_ms * NS_PER_MS,
        stream.path_min_ms * NS_PER_MS,
        tuple(stream.known),
    )


def draw_history(rng: np.random.Generator) -> History:
    """Draw a history: any mode, delay, packet and clock, and up to six disturbances."""
    count = int(rng.integers(1, 7))
    return History(
        mode="synchronised" if rng.random() < 0.7 else "adaptive",
        delay_ms=int(rng.choice(DELAYS_MS)),
        packet_samples=int(rng.choice([960, 960, 960, *PAYLOADS])),
        clock_hz=int(rng.choice([48_000] * 6 + list(CLOCKS_HZ))),
        sequence=int(rng.choice([0, int(rng.integers(0, 1 << 16))])),
        timestamp=int(rng.choice([0, int(rng.integers(0, 1 << 32))])),
        jitter_ms=int(rng.choice([0, 0, 3, 20])),
        seed=int(rng.integers(0, 1 << 31)),
        disturbances=tuple(_draw_disturbance(rng) for _ in range(count)),
        answers=bool(rng.random() < 0.3),
    )


def _draw_disturbance(rng: np.random.Generator) -> Disturbance:
    size_ms = int(np.exp(rng.uniform(0, np.log(12_000))))
    return Disturbance(
        kind=str(rng.choice(KINDS)),
        after_ms=int(rng.choice([0, 50, 300, 1000, 2500])),
        size_ms=size_ms if rng.random() < 0.6 else -size_ms,
        count=int(np.exp(rng.uniform(0, np.log(300)))),
    )


assert RATE_HZ == 48 * 1000 == SAMPLES_PER_MS * 1000
