"""Faults planted in the node, one at a time: after how many seeds the swarm finds each, how small.

Options: --seeds N (200), --only NAME. Status 1 where one is not found, or not in five steps.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import parser_of
from node.control.arbiter import Arbiter, Grant
from node.control.loudness.schedule import Decision, VolumeSchedule
from node.control.precedence import MessageClass
from node.control.trust.once import ReplayGuard
from node.control.warning.alert_book import AlertBook
from node.jitter.state import EARLY
from node.shell.broker.mqtt import MqttLink
from node.shell.card.gaps import Gaps
from node.shell.service import Service
from node.source.receiver import Receiver
from sim.swarm.campaign import Campaign

STEPS_MAX: Final = 5

_LOST_EVERY: Final = 4


def run(arguments: list[str]) -> int:
    """Print a row for each planted fault."""
    parser = parser_of("swarm", __doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--only", choices=PLANTS)
    options = parser.parse_args(arguments)
    status = 0
    for name, plant in PLANTS.items():
        if options.only in (None, name):
            with plant():
                status |= _hunt(name, options.seeds)
    return status


def _hunt(name: str, seeds: int) -> int:
    campaign = Campaign()
    for seed in campaign.run(range(seeds)):
        if campaign.failures:
            found = campaign.failures[0]
            steps = len(found.script.steps)
            print(f"{name}: seed {seed}, {steps} steps: {found.first.said()}", flush=True)
            return int(steps > STEPS_MAX)
    print(f"{name}: not found in {seeds} seeds")
    return 1


@contextmanager
def replay_check_off() -> Iterator[None]:
    """No order is ever known to have acted."""
    with patch.object(ReplayGuard, "refusal", lambda self, key, counter: None):
        yield


@contextmanager
def order_lost() -> Iterator[None]:
    """Each fourth order is acknowledged to the broker and never given to the core."""
    take, came = Service._take_message, [0]

    def take_most(self: Service, topic: str, payload: bytes) -> int:
        came[0] += 1
        if came[0] % _LOST_EVERY == 0:
            return self._store.number
        return take(self, topic, payload)

    with patch.object(Service, "_take_message", take_most):
        yield


@contextmanager
def two_sources() -> Iterator[None]:
    """Who comes second sounds as loud as who has the horn."""

    def both(self: Arbiter, ordered: list[int]) -> tuple[Grant, ...]:
        return tuple(Grant(source, 0.0) for source in ordered[:2])

    with patch.object(Arbiter, "_with_ducked", both):
        yield


@contextmanager
def report_before_sound() -> Iterator[None]:
    """A warning is reported as played when it begins."""
    begin: Callable[..., None] = AlertBook._begin

    def begin_and_tell(self: AlertBook, one: Any, utc_s: int, now_ns: int) -> None:
        begin(self, one, utc_s, now_ns)
        if one.run is not None:
            self._persist([self._record(one.alert, "played", "", utc_s, one.run)])

    with patch.object(AlertBook, "_begin", begin_and_tell):
        yield


@contextmanager
def acknowledged_before_kept() -> Iterator[None]:
    """Orders are acknowledged to the broker, and answered, before they are on the disk."""
    with ExitStack() as both:
        both.enter_context(patch.object(Service, "_take_message", _take_for_good))
        both.enter_context(patch.object(MqttLink, "publish", _publish_at_once))
        yield


@contextmanager
def early_kept_from_the_time_base() -> Iterator[None]:
    """The time base does not learn of packets that come too early to be held."""
    receive: Callable[..., int] = Receiver.receive

    def receive_and_forget(self: Receiver, data: NDArray[np.uint8], now_ns: int) -> int:
        line = self._source["line"][0]
        before = line.copy()
        result = receive(self, data, now_ns)
        if result == EARLY:
            line[:] = before
        return result

    with patch.object(Receiver, "receive", receive_and_forget):
        yield


@contextmanager
def refused_for_nothing() -> Iterator[None]:
    """Each fourth warning that is to wait is refused, with a word that sounds well."""
    judge: Callable[..., str] = AlertBook._fate
    waited = [0]

    def judge_most(self: AlertBook, *what: Any, **more: Any) -> str:
        fate = judge(self, *what, **more)
        waited[0] += fate == "waiting"
        return "expired" if fate == "waiting" and waited[0] % _LOST_EVERY == 0 else fate

    with patch.object(AlertBook, "_fate", judge_most):
        yield


@contextmanager
def over_after_its_siren() -> Iterator[None]:
    """A warning ends before its words, and a record says that its time was over."""
    advance: Callable[..., None] = AlertBook._advance

    def advance_to_the_words(self: AlertBook, one: Any, run: Any, utc_s: int, now_ns: int) -> None:
        if run.step < 0 or run.held_ns >= 0 or run.ends_ns > now_ns:
            advance(self, one, run, utc_s, now_ns)
        else:
            self._persist([self._drop(one, "stopped", "expired", utc_s, now_ns)])

    with patch.object(AlertBook, "_advance", advance_to_the_words):
        yield


@contextmanager
def only_urgent_ones_sound() -> Iterator[None]:
    """A warning that is not urgent is missed, with a word that sounds well."""
    begin: Callable[..., None] = AlertBook._begin

    def begin_urgent(self: AlertBook, one: Any, utc_s: int, now_ns: int) -> None:
        if one.alert.message_class == MessageClass.URGENT:
            begin(self, one, utc_s, now_ns)
        else:
            self._persist([self._drop(one, "missed", "outside the hours", utc_s, now_ns)])

    with patch.object(AlertBook, "_begin", begin_urgent):
        yield


@contextmanager
def not_taken_up_after_a_boot() -> Iterator[None]:
    """What was under way when the power went is over, and a record says that it was missed."""
    begin: Callable[..., None] = AlertBook.__init__

    def begin_empty(self: AlertBook, *what: Any, **more: Any) -> None:
        begin(self, *what, **more)
        cut_off = list(self._open)
        if cut_off:
            self._persist([self._drop(one, "missed", "no power", 0, 0) for one in cut_off])

    with patch.object(AlertBook, "__init__", begin_empty):
        yield


@contextmanager
def cancel_refused() -> Iterator[None]:
    """A cancel is refused, with a word that sounds well, and the warning goes on."""
    receive: Callable[..., str] = AlertBook.receive_alert

    def receive_all_but_cancels(self: AlertBook, alert: Any, *time: Any, **more: Any) -> str:
        if alert.kind == "cancel":
            return "not its to end"
        return receive(self, alert, *time, **more)

    with patch.object(AlertBook, "receive_alert", receive_all_but_cancels):
        yield


_PUBLISH: Final = MqttLink.publish
_TAKE: Final = Service._take_message


def _take_for_good(self: Service, topic: str, payload: bytes) -> int:
    _TAKE(self, topic, payload)
    return 0


def _publish_at_once(self: MqttLink, event: Any, ticket: int = 0) -> dict[str, bytes]:
    return _PUBLISH(self, event, 0)


@contextmanager
def too_soft() -> Iterator[None]:
    """Whatever is decided of its volume sounds 35 dB below it."""
    decide: Callable[..., Decision] = VolumeSchedule.decide

    def decide_softly(self: VolumeSchedule, *what: Any, **more: Any) -> Decision:
        found = decide(self, *what, **more)
        return replace(found, gain_db=found.gain_db - 35.0)

    with patch.object(VolumeSchedule, "decide", decide_softly):
        yield


@contextmanager
def no_second_of_its_like() -> Iterator[None]:
    """A warning that would wait for another of its standing is missed, with a good word."""
    begin: Callable[..., None] = AlertBook._begin

    def begin_alone(self: AlertBook, one: Any, utc_s: int, now_ns: int) -> None:
        standing = self._standing(one)[:2]
        if any(o.run is not None and self._standing(o)[:2] == standing for o in self._open):
            self._persist([self._drop(one, "missed", "superseded", utc_s, now_ns)])
        else:
            begin(self, one, utc_s, now_ns)

    with patch.object(AlertBook, "_begin", begin_alone):
        yield


@contextmanager
def gaps_not_told() -> Iterator[None]:
    """What the card had to play without the node counts as played."""
    with patch.object(Gaps, "follow", lambda self, now_ns: None):
        yield


PLANTS: Final = {
    "replay check off": replay_check_off,
    "acknowledged order lost": order_lost,
    "two sources at once": two_sources,
    "report before the sound": report_before_sound,
    "acknowledged before it is kept": acknowledged_before_kept,
    "EARLY packets kept from the time base": early_kept_from_the_time_base,
    "a warning refused for nothing": refused_for_nothing,
    "over after its siren": over_after_its_siren,
    "only urgent warnings sound": only_urgent_ones_sound,
    "not taken up after a boot": not_taken_up_after_a_boot,
    "a cancel refused": cancel_refused,
    "35 dB too soft": too_soft,
    "none waits for its like": no_second_of_its_like,
    "gaps of the card are not told": gaps_not_told,
}
