"""Regressions that are planted to see whether the gate names them; nothing in the tree is changed.

Each replaces a function of the node, or of the gateway or the way to it, in the process that
calls it. `nothing` is a change that alters nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import node.jitter.buffer
import node.source.receiver
from benchmarks.village import matrix
from node.audio.output import Output
from node.clock.timebase import Timebase
from node.config import JitterConfig
from node.control.controller import Controller
from node.opus.decoder import OpusDecoder
from node.source.repairs import Repairs
from node.units import NS_PER_MS, NS_PER_S
from sim.day.station import Sent
from sim.gateway.cpu import Host
from sim.village.places import Village
from sim.world.watched import Watched
from sim.world.world import PoleParts, World

MORE_MS: Final = 20
"""What is to hide nowhere."""

DELAYS_MS: Final = frozenset(
    one.playout_delay_ms for one in matrix.PLAYOUTS.values() if one.mode != "adaptive"
)
"""Playout delays of the matrix: the longest one hides no more than the shortest."""

ONE_POLE: Final = "bl-03"
LOST_FROM_NS: Final = 3660 * NS_PER_S
"""By a node's own clock, which shows an hour when the part of the day that is lived begins: keys
and plans come in its first minute."""


@dataclass(frozen=True, slots=True)
class Regression:
    """One planted fault."""

    about: str
    measured_by: str
    """The measurement that must name it."""

    named: str
    """Regular expression of the line that does; empty: there is to be no line at all."""

    plant: Callable[[], None]


def _wrap(owner: Any, name: str, made: Callable[[Any], Any]) -> None:
    """Put what `made` makes of a function in its place."""
    setattr(owner, name, made(getattr(owner, name)))


def _later_at_each_delay() -> None:
    def made(plain: Callable[..., None]) -> Callable[..., None]:
        def begin(self: Timebase, playout_delay_ns: int, **rest: Any) -> None:
            is_held = playout_delay_ns // NS_PER_MS in DELAYS_MS
            more_ns = MORE_MS * NS_PER_MS if is_held else 0
            plain(self, playout_delay_ns + more_ns, **rest)

        return begin

    _wrap(Timebase, "__init__", made)


def _no_map() -> None:
    _wrap(Timebase, "receive_map", lambda _: lambda *_: False)


def _zeros() -> None:
    _wrap(Output, "process", lambda _: lambda self, out: out.fill(0.0))


def _quieter() -> None:
    def made(plain: Callable[..., None]) -> Callable[..., None]:
        def process(self: Output, out: NDArray[np.float32]) -> None:
            plain(self, out)
            out *= np.float32(10 ** (-1 / 20))

        return process

    _wrap(Output, "process", made)


def _mute_concealment() -> None:
    def made(plain: Callable[..., int]) -> Callable[..., int]:
        def conceal(self: OpusDecoder, samples: int, out: NDArray[np.float32]) -> int:
            done = plain(self, samples, out)
            out[:samples] = 0.0
            return done

        return conceal

    _wrap(OpusDecoder, "conceal", made)


def _config(**more: int) -> Callable[[], None]:
    """Return what adds to settings of the jitter buffer on their way to it."""

    def plant() -> None:
        def made(plain: Callable[[JitterConfig], Any]) -> Callable[[JitterConfig], Any]:
            def changed(config: JitterConfig) -> Any:
                other = {name: getattr(config, name) + amount for name, amount in more.items()}
                return plain(replace(config, **other))

            return changed

        _wrap(node.jitter.buffer, "initial", made)

    return plant


def _no_repair() -> None:
    _wrap(node.source.receiver, "is_announced", lambda _: lambda *_: False)


def _asked_later() -> None:
    def made(plain: Callable[[Repairs], int | None]) -> Callable[[Repairs], int | None]:
        def next_deadline_ns(self: Repairs) -> int | None:
            due_ns = plain(self)
            return None if due_ns is None else due_ns + MORE_MS * NS_PER_MS

        return next_deadline_ns

    _wrap(Repairs, "next_deadline_ns", made)


def _slower_cpu() -> None:
    def made(plain: Callable[..., NDArray[np.int64]]) -> Callable[..., NDArray[np.int64]]:
        def ready_ns(self: Host, first: int, tick_ns: NDArray[np.int64]) -> NDArray[np.int64]:
            return plain(self, first, tick_ns) + self.queued_ns

        return ready_ns

    _wrap(Host, "ready_ns", made)


def _twice_the_slots() -> None:
    _wrap(node.jitter.buffer, "slots_for", lambda plain: lambda config: 2 * plain(config))


def _deaf() -> None:
    _wrap(Controller, "receive_message", lambda _: lambda *_: "not for here")


def _ordered(change: Callable[[Sequence[Sent]], Sequence[Sent]]) -> Callable[[], None]:
    """Return what changes what the desks order."""

    def plant() -> None:
        def made(plain: Callable[..., None]) -> Callable[..., None]:
            def begin(
                self: World,
                village: Village,
                poles: Sequence[PoleParts],
                orders: Sequence[Sent],
                **rest: Any,
            ) -> None:
                plain(self, village, poles, change(orders), **rest)

            return begin

        _wrap(World, "__init__", made)

    return plant


def _twice(orders: Sequence[Sent]) -> Sequence[Sent]:
    return [one for one in orders for _ in range(2)]


def _later(orders: Sequence[Sent]) -> Sequence[Sent]:
    return [replace(one, at_ns=one.at_ns + MORE_MS * NS_PER_MS) for one in orders]


def _one_lost() -> None:
    def made(plain: Callable[..., None]) -> Callable[..., None]:
        def receive_message(self: Watched, topic: str, payload: bytes, now_ns: int) -> None:
            if self.status()["name"] != ONE_POLE or now_ns < LOST_FROM_NS:
                plain(self, topic, payload, now_ns)

        return receive_message

    _wrap(Watched, "receive_message", made)


def _nothing() -> None:
    """Let everything that the others replace pass through one more call, as when code moves."""

    def made(plain: Callable[..., Any]) -> Callable[..., Any]:
        def passed_on(*arguments: Any, **more: Any) -> Any:
            return plain(*arguments, **more)

        return passed_on

    for owner, names in {
        Timebase: ("__init__", "receive_map"),
        Output: ("process",),
        OpusDecoder: ("conceal", "decode"),
        Controller: ("receive_message", "handle_deadline"),
        World: ("__init__",),
        Watched: ("receive_message",),
        Host: ("ready_ns",),
        Repairs: ("next_deadline_ns",),
        node.jitter.buffer: ("initial", "slots_for"),
        node.source.receiver: ("is_announced",),
    }.items():
        for name in names:
            _wrap(owner, name, made)
    _ordered(list)()
    _config(delay_min_ms=0)()


NOTHING: Final = "nothing"

REGRESSIONS: Final = {
    "later": Regression(
        "sound 20 ms later at each playout delay of the matrix", "latency",
        r"latency mouth_to_ear_p50_ms worse in 80 rows \(300 ms, 800 ms;", _later_at_each_delay,
    ),
    "adrift": Regression(
        "the sender's clock is not believed: nodes drift apart", "latency",
        r"latency skew_p95_ms worse", _no_map,
    ),
    "slower": Regression(
        "the adaptive mode never comes below its floor and 20 ms", "latency",
        r"latency mouth_to_ear_p50_ms worse in \d+ rows \(adaptive;",
        _config(delay_min_ms=MORE_MS),
    ),
    "busy": Regression(
        "the audio thread is ready too late for the card", "dropout",
        r"dropout deadline_misses worse", _slower_cpu,
    ),
    "unrepaired": Regression(
        "lost packets are not asked for again", "dropout",
        r"dropout concealed_ms worse", _no_repair,
    ),
    "overdue": Regression(
        "lost packets are asked for 20 ms later", "dropout",
        r"dropout concealed_ms worse", _asked_later,
    ),
    "short": Regression(
        "concealment ends 80 ms earlier", "dropout",
        r"dropout (silent|faded)_ms worse", _config(conceal_max_ms=-80),
    ),
    "zeros": Regression(
        "`render` writes zeros", "sound", r"sound loudness_off_lu worse .* -> none", _zeros,
    ),
    "quieter": Regression(
        "everything 1 dB quieter", "sound", r"sound loudness_off_lu worse", _quieter,
    ),
    "holes": Regression(
        "concealment is silence", "sound", r"sound sound_crc32 other in [1-9]", _mute_concealment,
    ),
    "deaf": Regression(
        "every order is dropped", "warned", r"warned unwarned worse .*: 4 -> 11", _deaf,
    ),
    "lost": Regression(
        "one order is lost at one pole", "warned",
        rf"warned fate worse in 1 row \(flood_night {ONE_POLE}\): 0 -> 3", _one_lost,
    ),
    "twice": Regression(
        "every order is delivered twice", "warned", r"warned orders_came worse", _ordered(_twice),
    ),
    "late": Regression(
        "every order comes 20 ms later", "warned",
        r"warned first_sound_ms worse", _ordered(_later),
    ),
    "fat": Regression(
        "the jitter buffer holds twice the packets", "footprint",
        r"footprint array_bytes worse", _twice_the_slots,
    ),
    NOTHING: Regression("a change that alters nothing", "", "", _nothing),
}  # fmt: skip
"""By name."""
