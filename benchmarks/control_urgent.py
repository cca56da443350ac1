"""An urgent message while anything else plays: how long from the datagram to its first sample.

Each situation is drawn: other streams and files, classes, tiers, the commune's choices, ducking,
who speaks when, and an urgent warning that comes as signed bytes or as packets of an announced
stream. Waiting inside the core is in simulated time, work is in CPU time of this machine.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from node.control.alert import AlertConfig, PhraseConfig
from node.control.authority import Certificate
from node.control.controller import Controller
from node.control.message import Kind, Message, seal
from node.control.play_run import StartPart
from node.control.precedence import MessageClass
from node.control.priority import Arbiter, PriorityConfig
from node.control.settings import ControlConfig
from node.control.short_alert import encode_short
from node.control.signature import SeedSigner
from node.units import NS_PER_MS, NS_PER_S

AREA: Final = "vn/lang-son/huu-lien"
URGENT_SOURCE: Final = 999
PERIOD_MS: Final = 10
"""The sound card asks this often (domain.md, section 5: 480 samples)."""

START_S: Final = 1_780_000_000
PER_NODE: Final = 100
"""Situations on one controller, so that its memory fills too."""


@dataclass(slots=True)
class UrgentResult:
    """Delays in ms from the datagram: to the urgent one's first sample, and until it is alone."""

    situations: int
    core_p50_ms: float = 0.0
    core_p999_ms: float = 0.0
    first_sample_p50_ms: float = 0.0
    first_sample_p999_ms: float = 0.0
    first_sample_worst_ms: float = 0.0
    alone_p999_ms: float = 0.0
    """With the configured ramp of the source that loses the horn, 50 ms by default."""
    not_granted: int = 0
    two_at_once: int = 0
    cpu_s: float = 0.0


class _Signed:
    """A controller with one province above it, and that province's pen."""

    def __init__(self) -> None:
        root, self._province = (
            SeedSigner(hashlib.sha256(name).digest()) for name in (b"root", b"province")
        )
        phrase = PhraseConfig(siren="a" * 64, text={"vi": "b" * 64})
        config = ControlConfig(
            root_public_key=root.public_key.hex(),
            area=AREA,
            build_utc_s=START_S - 1,
            alert=AlertConfig(phrases={"any": phrase}),
        )
        self.controller = Controller("bench", config, (), {}, self._province)
        self.controller.receive_time(START_S * NS_PER_S, 0, synchronised=True)
        self._counter = 0
        claim = Certificate(
            "p", self._province.public_key, "province", "vn", MessageClass.URGENT, 1 << 39
        )
        certificate = self.sealed(root, Kind.CERTIFICATE, msgspec.json.encode(claim), 0)
        self.controller.receive_message("order", certificate, 0)

    def warning(self, now_ns: int) -> bytes:
        """Return a new signed warning of a second."""
        content = encode_short("alert", self._counter + 1, lasts_s=1)
        return self.sealed(self._province, Kind.SHORT_ALERT, content, now_ns)

    def sealed(self, by: SeedSigner, kind: Kind, content: bytes, now_ns: int) -> bytes:
        self._counter += 1
        urgent = MessageClass.URGENT if kind is Kind.SHORT_ALERT else MessageClass.NORMAL
        message = Message(
            kind=kind,
            key_id=by.key_id,
            counter=self._counter,
            issued_s=START_S + now_ns // NS_PER_S,
            ttl_s=600,
            message_class=urgent,
            area=AREA,
            content=content,
        )
        return seal(message, by)


def run_urgent(count: int, *, seed: int) -> UrgentResult:
    """Draw `count` situations and measure each."""
    rng = np.random.default_rng(seed)
    result = UrgentResult(count)
    begin_s = time.process_time()
    core_ms, first_ms, alone_ms = np.zeros((3, count))
    signed = _Signed()
    now_ns = NS_PER_S
    for number in range(count):
        if number % PER_NODE == 0:
            signed, now_ns = _Signed(), NS_PER_S
        arbiter, config, now_ns = _situation(rng, now_ns)
        by_message = bool(rng.integers(0, 2))
        urgent_level = config.tiers[int(rng.integers(0, len(config.tiers)))]
        data = signed.warning(now_ns) if by_message else b""
        before_ns = time.thread_time_ns()
        if by_message:
            source = _by_message(signed.controller, arbiter, data, now_ns)
        else:
            source = URGENT_SOURCE
            arbiter.set_source(source, MessageClass.URGENT, urgent_level)
            arbiter.receive_packet(source, now_ns)
        core_ms[number] = (time.thread_time_ns() - before_ns) / NS_PER_MS
        holder = arbiter.granted()
        result.not_granted += holder != source
        result.two_at_once += len(arbiter.grants()) > 1 + bool(config.duck_db)
        wait_ms = float(rng.random()) * PERIOD_MS  # until the sound card asks next
        first_ms[number] = core_ms[number] + wait_ms
        alone_ms[number] = first_ms[number] + config.ramp_ms
        now_ns += 2 * NS_PER_S
        signed.controller.handle_deadline(now_ns)  # the warning of a second is over
        _drain(signed.controller)
    result.core_p50_ms, result.core_p999_ms = _quantiles_ms(core_ms)
    result.first_sample_p50_ms, result.first_sample_p999_ms = _quantiles_ms(first_ms)
    result.first_sample_worst_ms = round(float(first_ms.max()), 3)
    result.alone_p999_ms = _quantiles_ms(alone_ms)[1]
    result.cpu_s = round(time.process_time() - begin_s, 2)
    return result


def _quantiles_ms(delays_ms: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median and the 99.9th percentile."""
    return (
        round(float(np.quantile(delays_ms, 0.5)), 3),
        round(float(np.quantile(delays_ms, 0.999)), 3),
    )


def _by_message(controller: Controller, arbiter: Arbiter, data: bytes, now_ns: int) -> int | None:
    """Do with a signed message as the stack does; return the source that it started."""
    controller.receive_message("order", data, now_ns)
    source: int | None = None
    while (event := controller.next_event()) is not None:
        if isinstance(event, StartPart):
            source = event.source
            arbiter.set_source(source, event.message_class, event.level, stored=True)
            arbiter.receive_packet(source, now_ns)
    return source


def _drain(controller: Controller) -> None:
    while controller.next_event() is not None:
        pass


def _situation(rng: np.random.Generator, now_ns: int) -> tuple[Arbiter, PriorityConfig, int]:
    """Return an arbiter in the middle of something, without an urgent source, and its time."""
    ducks: tuple[dict[str, float], ...] = (
        {},
        {"urgent over normal": -30.0},
        {"priority over normal": -20.0},
    )
    config = PriorityConfig(
        clash=("upper_first", "commune_first")[int(rng.integers(0, 2))],
        tie_break=("first", "newest")[int(rng.integers(0, 2))],
        duck_db=ducks[int(rng.integers(0, 3))],
    )
    arbiter = Arbiter(config)
    sources = int(rng.integers(0, 6))
    for source in range(sources):
        level = config.tiers[int(rng.integers(0, len(config.tiers)))]
        kind = MessageClass(int(rng.integers(0, 2)))
        arbiter.set_source(source, kind, level, stored=bool(rng.integers(0, 2)))
    for _ in range(int(rng.integers(0, 60)) if sources else 0):
        now_ns += int(rng.integers(0, 200)) * NS_PER_MS
        source = int(rng.integers(0, sources))
        if rng.random() < 0.05:
            arbiter.release(source, now_ns)
        else:
            arbiter.receive_packet(source, now_ns)
        while arbiter.next_event() is not None:
            pass
    return arbiter, config, now_ns
