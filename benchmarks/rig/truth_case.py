"""One scenario of `truth`: its files, and what the simulator says of it, packet by packet."""

import wave
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.rig.sync_measure import latencies_ms
from hw_profiles import Profile, Whole
from node.events import Event
from node.opus.libopus import LibopusDecoder
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, SAMPLES_PER_MS
from sim.chance.rng import Purpose
from sim.drive.run import run
from sim.drive.site import Chunk
from sim.station.conversation import RequestWay
from sim.station.programme import Sending
from sim.village.places import Village, build_village
from sim.village.scenario import Scenario, load
from sim.world.stretch import Stretch

WARNED_S: Final = 60
PROGRAMME_S: Final = 75
SIREN_S: Final = 3
SIREN_HZ: Final = 400
DELAY_MS: Final = 400
PERIOD_MS: Final = 2
"""Of the card, simulated and real: the two are not in step, so that an order is so far apart."""
_BEGIN_S: Final = 7_200
_LIVE_S: Final = 60
_TAIL_S: Final = 10
_BAND_HZ: Final = (1000, 3400)
_HEARD: Final = 0.3
"""Share of the siren's loudness at which it is there."""

_SCENARIO: Final = """
title = "Simulated and real"
question = "Is it so?"
seed = {seed}
duration_s = {duration_s}

[sender]
file = "programme.wav"
fec = true
expected_loss_pct = 10

[jitter]
playout_delay_ms = {delay_ms}

[day]
date = "2026-11-23"
live_at = "02:01"

[day.volume]
volume = 100
emergency_floor = 100

[day.alert.phrases.any]
siren = "siren.wav"
siren_s = {siren_s}

[[day.orders]]
at = "02:02"
kind = "alert"
ttl_s = 600
lasts_s = 15

{faults}

[[communes]]
name = "A"
x_m = 0
y_m = 0

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [
  {{ name = "a-1", profile = "pi_4b_i2s", bearer = "{bearer}", x_m = 0, y_m = 0, skew_ppm = 0.0 }},
]
"""
_OUTAGE: Final = '[[faults]]\nkind = "link_down"\nfrom_s = 20\nuntil_s = 23\n'

CASES: Final = {
    "ethernet": ("ftth", ""),
    "Wi-Fi": ("wifi24_outdoor", ""),
    "weak 4G": ("lte_weak", ""),
    "outage": ("wifi24_outdoor", _OUTAGE),
}
"""Bearer, and faults."""


@dataclass(slots=True)
class Figures:
    """What one run tells; the simulated and the real one alike."""

    packets: int
    late: int
    lost: int
    repaired: int
    concealed: int
    """In packets of 20 ms: made up, faded or silent within the stream."""
    delay_p50_ms: float
    delay_p99_ms: float
    order_ms: float


@dataclass(slots=True)
class Simulated:
    """What the simulator says, and what it drew."""

    figures: Figures
    arrive_ns: NDArray[np.int64]
    """(packets,) int64: after the stamp of the first sample; LOST_NS."""
    send_ns: NDArray[np.int64]
    """(packets,) int64, likewise; what is asked for travels as the one that leaves next."""
    order_delay_ns: int
    """From the order to its arrival at the node."""
    requests: RequestWay
    repairs: RequestWay
    warned_s: int = WARNED_S
    """When the warning is ordered, from the first packet on."""
    programme_s: int = PROGRAMME_S


@dataclass(slots=True)
class Ear:
    """Somebody who writes down what a pole plays."""

    begin_ns: int
    sound: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((PROGRAMME_S + 30) * RATE_HZ, np.float32)
    )

    def note_sound(self, sound: NDArray[np.float32], leaves_ns: int) -> None:
        """Hear sound whose first sample leaves the horn at that true time.

        sound  (n, channels) float32, full scale 1.0
        """
        at = round((leaves_ns - self.begin_ns) * RATE_HZ / NS_PER_S)
        if 0 <= at <= self.sound.size - len(sound):
            self.sound[at : at + len(sound)] = sound[:, 0]

    def note_order(self, payload: bytes, fate: str, at_ns: int) -> None:
        """See nothing of orders."""

    def note_event(self, event: Event, at_ns: int) -> None:
        """See nothing of what is told."""

    def note_power(self, at_ns: int, *, on: bool) -> None:
        """See nothing of power."""


def programme() -> NDArray[np.float32]:
    """Return noise in a part of the band of speech, seeded: (n,) float32, full scale 1.0."""
    rng = np.random.default_rng(7)
    spectrum = np.fft.rfft(rng.standard_normal(PROGRAMME_S * RATE_HZ))
    hz = np.fft.rfftfreq(PROGRAMME_S * RATE_HZ, 1 / RATE_HZ)
    spectrum[(hz < _BAND_HZ[0]) | (hz > _BAND_HZ[1])] = 0
    sound = np.fft.irfft(spectrum)
    return (sound * 0.05 / np.std(sound)).astype(np.float32)


def siren() -> NDArray[np.float32]:
    """Return a tone below the programme's band: (n,) float32, full scale 1.0."""
    at_s = np.arange(SIREN_S * RATE_HZ) / RATE_HZ
    return (0.4 * np.sin(2 * np.pi * SIREN_HZ * at_s)).astype(np.float32)


def write_files(folder: Path, name: str, seed: int, *, programme_s: int = PROGRAMME_S) -> Path:
    """Write a case's scenario and sounds; return the scenario's path."""
    played = programme()[: programme_s * RATE_HZ]
    for one, sound in (("programme", played), ("siren", siren())):
        with wave.open(str(folder / f"{one}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes((sound * 32767).astype("<i2").tobytes())
    bearer, faults = CASES[name]
    path = folder / "truth.toml"
    path.write_text(
        _SCENARIO.format(
            seed=seed,
            duration_s=programme_s,
            delay_ms=DELAY_MS,
            siren_s=SIREN_S,
            faults=faults,
            bearer=bearer,
        )
    )
    return path


def simulate(path: Path, *, flush_ns: int) -> Simulated:
    """Run a case in the world, and ask the drive what was drawn for each packet.

    Parameters
    ----------
    path : Path
        Of its scenario.
    flush_ns : int
        What a flushed write takes on the disk of the real node: it waits for one as it is ordered.
    """
    scenario = load(str(path))
    village = build_village(scenario)
    here = tuple(replace(one, profile=_paced(one.profile)) for one in village.places)
    village = replace(village, places=here)
    send_ns, arrive_ns = _drawn(scenario)
    stretch = Stretch(
        scenario,
        village,
        begin_s=_BEGIN_S,
        end_s=_BEGIN_S + _LIVE_S + PROGRAMME_S + _TAIL_S,
        decoder_factory=LibopusDecoder,
        live=True,
    )
    stretch.world.poles[0].disk.delay_ns = flush_ns
    ear = Ear(_LIVE_S * NS_PER_S)
    stretch.world.poles[0].look_on(ear)
    for _ in stretch.advance():
        pass
    stretch.world.close()
    live = stretch.world.live
    assert live is not None, "it streams"
    alert = next(one for one in stretch.fates() if one.kind == "alert")
    assert alert.arrived_s is not None, "these bearers bring an order"
    told = live.sources[0]
    assert told is not None, "it was heard"
    begin_s = int(send_ns[0]) / NS_PER_S
    return Simulated(
        figures_of(told, live.sender.packets, ear.sound, begin_s, float(WARNED_S)),
        arrive_ns,
        send_ns,
        round((alert.arrived_s - alert.sent_s) * NS_PER_S),
        *ways_up(scenario, village),
    )


def figures_of(
    source: dict[str, object],
    packets: int,
    sound: NDArray[np.float32],
    begin_s: float,
    warned_s: float,
) -> Figures:
    """Return the figures of a run.

    source    what the node tells of the stream
    packets   that were sent
    sound     (n,) float32, full scale 1.0: what it played
    begin_s   when the first packet left, s of that sound
    warned_s  when the warning was ordered, likewise
    """
    played = source["played_ms"]
    assert isinstance(played, dict), "as the node has it"
    made_up = sum(played[name] for name in ("concealed", "faded", "silent"))
    again = sum(played[name] for name in ("redundant", "retransmitted", "in_band_fec"))
    _, delays = latencies_ms(sound, programme(), RATE_HZ, begin_s)
    delays = delays if delays.size else np.array([np.inf])
    return Figures(
        packets=packets,
        late=int(str(source["late_packets"])),
        lost=int(str(source["lost_packets"])),
        repaired=again // 20,
        concealed=made_up // 20,
        delay_p50_ms=float(np.quantile(delays, 0.5)),
        delay_p99_ms=float(np.quantile(delays, 0.99)),
        order_ms=1000 * (_siren_s(sound) - warned_s),
    )


def _paced(profile: Profile) -> Profile:
    """Return a gateway with the sound card that the real node has: none, but the time.

    `node.shell.card.sinks.PacedSink` asks for a period of sound that leaves a period later, by the
    clock of the board.
    """
    source = "node/shell/card/sinks.py: PacedSink"
    card = replace(
        profile.sound_card,
        period_samples=Whole(value=PERIOD_MS * SAMPLES_PER_MS, source=source, verified=True),
        periods=Whole(value=2, source=source, verified=True),
        device_latency_ms=replace(profile.sound_card.device_latency_ms, value=0.0, source=source),
        own_crystal=replace(profile.sound_card.own_crystal, value=False, source=source),
    )
    return replace(profile, sound_card=card)


def _siren_s(sound: NDArray[np.float32]) -> float:
    """Return when the siren begins in (n,) float32 sound, in s; inf where it does not."""
    at = np.arange(sound.size)
    turned = sound * np.exp(-2j * np.pi * SIREN_HZ / RATE_HZ * at)
    width = 2 * RATE_HZ // SIREN_HZ
    summed = np.cumsum(np.concatenate([np.zeros(width), turned]))
    loud = np.abs(summed[width:] - summed[:-width]) / width
    there = np.flatnonzero(loud > max(_HEARD * float(loud.max()), 0.01))
    return float(there[0]) / RATE_HZ if there.size else float("inf")


def _drawn(scenario: Scenario) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return when each packet leaves and arrives, ns: each (packets,) int64."""
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def note(_: int, sending: Sending, chunk: Chunk) -> None:
        parts.append((sending.send_ns, chunk.plan.arrive_ns))

    run(scenario, decode=False, watcher=note)
    return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])


def ways_up(scenario: Scenario, village: Village) -> tuple[RequestWay, RequestWay]:
    """Return the way up of questions for the time, and of those for lost packets."""
    place = village.places[0]
    backhaul_ns = round(village.backhauls[place.commune].one_way_ms.value * NS_PER_MS)
    asked, repaired = (
        RequestWay(place, backhaul_ns, purpose, scenario.seed)
        for purpose in (Purpose.EXCHANGE, Purpose.REPAIR)
    )
    return asked, repaired
