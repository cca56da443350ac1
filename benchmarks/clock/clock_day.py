"""A day of a village: nodes on links of each kind, skew of what leaves their converters.

Everything but the sound is the node's own: exchange, report map, time base, servo, the need of a
playout delay and the sender's decision on it. True time is the sender's clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock.clock_links import LAN, MOBILE, MOBILE_OTHER, NS_PER_S, WIFI, Crystal, Link
from node.clock.exchange.asking import ClockExchange
from node.clock.line import position_q16
from node.clock.servo import HARD_RESYNC_Q16, Servo, new_servo, servo_step
from node.clock.state import Line
from node.clock.timebase import Timebase, receive_packet
from node.kernel import kernel
from node.kernel.record import Records
from node.units import samples_to_ns
from sim.sender.group_delay import GroupDelay

PACKET_SAMPLES: Final = 960
PACKETS_PER_S: Final = 50
PERIODS_PER_S: Final = 100
PERIOD_SAMPLES: Final = 480
LATE_RATIO: Final = 0.001
_HOUR_S: Final = 3600
SETTLED_S: Final = 120
"""From the first packet on that is not judged: start-up has tests of its own."""

# What leaves the converter next: whole samples and a fraction, as the resampler keeps them.
MEDIA: Final = 0
FRACTION_Q32: Final = 1
STARTED: Final = 2
RESYNCS: Final = 3


@kernel("void(int64[::1], int64)")
def move(own: NDArray[np.int64], by_q32: int) -> None:
    """Move the position by so many Q32 samples.

    own  (4,) int64: samples, Q32 samples, a flag, a count
    """
    position_q32 = own[FRACTION_Q32] + by_q32
    own[MEDIA] += position_q32 >> 32
    own[FRACTION_Q32] = position_q32 & 0xFFFFFFFF


@kernel("void(int64[::1], Line[::1], Servo[::1], int64[::1], int64, int64[::1])")
def play_second(
    own: NDArray[np.int64],
    lines: Records[Line],
    servo: Records[Servo],
    arrivals_ns: NDArray[np.int64],
    media_first: int,
    periods_ns: NDArray[np.int64],
) -> None:
    """Run one second of a node: take its packets, steer its converter.

    own          (4,) int64: samples, Q32 samples, whether it started, count of hard resyncs
    arrivals_ns  (packets,) int64, local arrival of each packet, -1 lost
    media_first  media time of the first one
    periods_ns   (periods,) int64, presentation time of each period, local
    """
    line = lines[0]
    taken = 0
    for period in range(periods_ns.shape[0]):
        now_ns = periods_ns[period]
        while taken < arrivals_ns.shape[0] and arrivals_ns[taken] <= now_ns:
            if arrivals_ns[taken] >= 0:
                media = media_first + taken * PACKET_SAMPLES
                receive_packet(line, media, arrivals_ns[taken], 0)
            taken += 1
        if line.packets == 0:
            continue
        wanted_q16 = position_q16(line, now_ns)
        error_q16 = wanted_q16 - (own[MEDIA] << 16) - (own[FRACTION_Q32] >> 16)
        if own[STARTED] == 0 or abs(error_q16) > HARD_RESYNC_Q16:
            own[RESYNCS] += own[STARTED]
            own[STARTED] = 1
            own[MEDIA] = wanted_q16 >> 16
            own[FRACTION_Q32] = (wanted_q16 & 0xFFFF) << 16
            error_q16 = 0
        servo[0].feed_forward_ppm = line.rate_ppm
        step_q32 = servo_step(servo, error_q16, PERIOD_SAMPLES)
        move(own, step_q32 * PERIOD_SAMPLES)
    while taken < arrivals_ns.shape[0]:
        if arrivals_ns[taken] >= 0:
            media = media_first + taken * PACKET_SAMPLES
            receive_packet(line, media, arrivals_ns[taken], 0)
        taken += 1


@dataclass(frozen=True, slots=True)
class Day:
    """What a day brought."""

    positions_ms: NDArray[np.float64]
    """(seconds, poles) float64: media time that leaves each converter at the end of a second."""

    measures: dict[str, Any]


@dataclass
class Pole:
    """One node: its link, its two crystals, and its state."""

    name: str
    link: Link
    clock: Crystal
    card_ppm: float
    rng: np.random.Generator
    exchange: ClockExchange = field(init=False)
    timebase: Timebase = field(init=False)
    offset_ns: int = field(init=False)
    late: int = 0
    late_near_change: int = 0
    packets: int = 0

    def __post_init__(self) -> None:
        self.exchange = ClockExchange(0)
        self.timebase = Timebase(400_000_000)
        self.servo = new_servo()
        self.own = np.zeros(4, np.int64)
        self._stall_s = self._next_stall_s(0.0)

    def _next_stall_s(self, after_s: float) -> float:
        if self.link.stall_every_s == 0.0:
            return np.inf
        return after_s + self.link.stall_every_s * float(self.rng.standard_exponential())

    def run(self, second: int, load: float, *, near_change: bool) -> None:
        """Run one second of true time."""
        self._ask(second, load)
        arrivals_ns = self._arrivals_ns(second, load, near_change=near_change)
        steps = np.arange(PERIODS_PER_S) / PERIODS_PER_S
        # The card's own skew shows in when its periods are due: fewer samples per true second
        # are made up for by the servo, so the periods stay on the grid of the node's clock.
        begin_ns, end_ns = self.clock.local_ns(second), self.clock.local_ns(second + 1)
        periods_ns = begin_ns + np.rint(steps * (end_ns - begin_ns)).astype(np.int64)
        move(self.own, round(self.card_ppm * 1e-6 * 48_000 * 2**32))
        play_second(
            self.own, self.timebase.line, self.servo, arrivals_ns,
            second * PACKETS_PER_S * PACKET_SAMPLES, periods_ns,
        )  # fmt: skip

    def _arrivals_ns(self, second: int, load: float, *, near_change: bool) -> NDArray[np.int64]:
        sent_s = second + np.arange(PACKETS_PER_S) / PACKETS_PER_S
        delay_s = self.link.delays_ms(self.rng, PACKETS_PER_S, up=False, load=load) / 1000
        while self._stall_s < second + 1:
            end_s = self._stall_s + self.rng.random() * self.link.stall_max_ms / 1000
            during = (sent_s >= self._stall_s) & (sent_s < end_s)
            delay_s[during] = np.maximum(delay_s[during], end_s - sent_s[during])
            self._stall_s = self._next_stall_s(self._stall_s)
        since_s = np.maximum.accumulate(sent_s + delay_s) - second
        late = (since_s + second - sent_s) * NS_PER_S > self.timebase.playout_delay_ns
        self.packets += PACKETS_PER_S
        self.late += int(np.count_nonzero(late))
        self.late_near_change += int(np.count_nonzero(late)) if near_change else 0
        # Within a second the clock is a line.
        begin_ns, end_ns = self.clock.local_ns(second), self.clock.local_ns(second + 1)
        arrivals_ns = begin_ns + np.rint(since_s * (end_ns - begin_ns)).astype(np.int64)
        arrivals_ns[self.rng.random(PACKETS_PER_S) < self.link.lost_ratio] = -1
        return np.asarray(arrivals_ns)

    def _sound_ns(self) -> NDArray[np.int64] | None:
        """Return arrival and transit of the sound's outermost packets, as the node's reports do."""
        if not self.timebase.ready:
            return None
        sound = self.timebase.outermost_arrivals()
        arrivals_ns = sound[1::2].copy()
        sound[1::2] -= samples_to_ns(sound[::2])
        sound[::2] = arrivals_ns
        return sound

    def _ask(self, second: int, load: float) -> None:
        """Run the exchange through this second, and hand the map on."""
        end_ns = self.clock.local_ns(second + 1)
        while self.exchange.next_deadline_ns() < end_ns:
            asked_ns = max(self.exchange.next_deadline_ns(), self.clock.local_ns(second))
            self.exchange.handle_deadline(asked_ns)
            self.exchange.next_event()
            up, down = (
                float(self.link.delays_ms(self.rng, 1, up=up, load=load)[0]) / 1000
                for up in (True, False)
            )
            if self.rng.random() < self.link.lost_ratio:
                continue
            answered_s = self.clock.true_s(asked_ns) + up
            back_ns = self.clock.local_ns(answered_s + down)
            sound_ns = self._sound_ns() if self.exchange.wants_sound(back_ns) else None
            self.exchange.receive_reply(
                asked_ns, 0, round(answered_s * NS_PER_S), back_ns, sound_ns=sound_ns
            )
            estimate = self.exchange.estimate(back_ns)
            if estimate is not None:
                self.timebase.receive_map(
                    round(answered_s * 48_000),
                    self.exchange.local_ns(round(round(answered_s * 48_000) / 48_000 * NS_PER_S)),
                    estimate.skew_ppm,
                    estimate.uncertainty_ns,
                )


def poles(seed: int) -> list[Pole]:
    """Return two nodes on each kind of link, with crystals as far apart as they may be.

    And one on the 4G of another operator.
    """
    rows = [
        ("Ethernet a", LAN, 50.0, -20.0),
        ("Ethernet b", LAN, -50.0, 20.0),
        ("Wi-Fi a", WIFI, 50.0, 10.0),
        ("Wi-Fi b", WIFI, -50.0, -10.0),
        ("4G a", MOBILE, 50.0, 5.0),
        ("4G b", MOBILE, -50.0, 104.0),
        ("4G c", MOBILE_OTHER, -20.0, 30.0),
    ]
    sequence = np.random.SeedSequence(seed).spawn(len(rows))
    return [
        Pole(
            name,
            link,
            Crystal(skew_ppm=skew_ppm, day_ppm=4.0, day_phase=float(i), wander_ppm=1.0),
            card_ppm,
            np.random.default_rng(sequence[i]),
        )
        for i, (name, link, skew_ppm, card_ppm) in enumerate(rows)
    ]


def run_day(hours: float, village: list[Pole], each_second: Callable[[int], None]) -> Day:
    """Run `hours` and return what was measured.

    Parameters
    ----------
    hours : float
        Of true time.
    village : list of Pole
        In the order in which they run through each second.
    each_second : callable
        Told the second before it begins.
    """
    group = GroupDelay(400_000_000)
    seconds = int(hours * _HOUR_S)
    positions = np.zeros((seconds, len(village)))
    changed_s: list[int] = []
    for second in range(seconds):
        # Evening: the queues of the mobile cell are three times as long.
        load = 1.0 + 2.0 * max(0.0, np.sin(2 * np.pi * second / 86_400)) ** 4
        each_second(second)
        near = bool(changed_s) and second - changed_s[-1] < 60 and second > SETTLED_S
        for i, pole in enumerate(village):
            pole.run(second, load if pole.link in (MOBILE, MOBILE_OTHER) else 1.0, near_change=near)
            positions[second, i] = (pole.own[MEDIA] + pole.own[FRACTION_Q32] / 2**32) / 48.0
            need_ns = pole.timebase.needed_delay_ns(LATE_RATIO)
            group.receive_need(i, need_ns, second * NS_PER_S)
        group.handle_deadline(second * NS_PER_S)
        while (change := group.next_event()) is not None:
            changed_s.append(second)
            for pole in village:
                start_ns = pole.exchange.local_ns(change.start_ns)
                pole.timebase.set_playout_delay(change.delay_ns, start_ns)
    measures = _measures(village, positions, changed_s, group.current.delay_ns, seconds)
    return Day(positions, measures)


def _measures(
    village: list[Pole],
    positions_ms: NDArray[np.float64],
    changed_s: list[int],
    delay_ns: int,
    seconds: int,
) -> dict[str, Any]:
    settled = positions_ms[SETTLED_S:]
    pairs = {}
    for i, one in enumerate(village):
        for j in range(i + 1, len(village)):
            skew_ms = np.abs(settled[:, i] - settled[:, j])
            pairs[f"{one.name} / {village[j].name}"] = {
                "p50_ms": float(np.percentile(skew_ms, 50)),
                "p99_ms": float(np.percentile(skew_ms, 99)),
                "max_ms": float(skew_ms.max()),
            }
    later_s = [s for s in changed_s if s > SETTLED_S]
    per_hour = [sum(h <= s < h + _HOUR_S for s in later_s) for h in range(0, seconds, _HOUR_S)]
    return {
        "pairs": pairs,
        "delay_ms": delay_ns / 1e6,
        "changes": len(changed_s),
        "changes_per_hour_max": max(per_hour, default=0),
        "late_ratio": {p.name: p.late / p.packets for p in village},
        "late_near_change": {p.name: p.late_near_change for p in village},
        "hard_resyncs": {p.name: int(p.own[RESYNCS]) for p in village},
    }
