"""What each node of a day is made of: its place, its neighbour, its turn, the sounds it holds."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from node.config import RELEASE_MAX_S, AmplifierConfig, NodeConfig
from node.control.calendar.programme import ProgrammeConfig
from node.control.loudness.noise import DwellingConfig, HornConfig
from node.control.loudness.regulation import RuleFile
from node.control.loudness.schedule import Place as VolumePlace
from node.control.settings import ControlConfig, with_loudness
from node.control.trust.signature import Signer
from node.opus.protocol import DecoderFactory
from node.source.stored_sound import PACKET_MS, Recording
from node.units import NS_PER_MS, NS_PER_S
from sim.day.stagger import StaggerPlan, plan_turns
from sim.day.station import Station, midnight_s
from sim.gateway.cpu import cpu_load
from sim.station import payloads
from sim.village.day_config import DayConfig
from sim.village.places import Place, Village, node_config
from sim.village.scenario import Scenario, find_sound

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What a node of the day is built of at each boot."""

    node: NodeConfig
    control: ControlConfig
    rules: tuple[RuleFile, ...]
    library: Mapping[str, Recording]
    signer: Signer
    decoder_factory: DecoderFactory | None
    midnight_s: int
    has_rtc: bool
    lead_ns: int
    """From the moment at which the card asks for a period to its first sample in the horn."""

    cpu_load: float = 0.0
    """Share of one period that the CPU takes to play one."""


def turns(village: Village, day: DayConfig) -> StaggerPlan:
    """Return whose turn is when; all at once where the day says nothing."""
    count = len(village.places)
    if day.stagger is None:
        return StaggerPlan((0,) * count, (0,) * count, 0, 0)
    x_m = np.array([place.x_m for place in village.places])
    y_m = np.array([place.y_m for place in village.places])
    return plan_turns(x_m, y_m, day.stagger)


def library(scenario: Scenario, day: DayConfig) -> dict[str, Recording]:
    """Return the stored sounds by their hash, each repeated to its longest part."""
    longest_s: dict[str, int] = {}

    def note(digest: str, seconds: int) -> None:
        longest_s[digest] = max(longest_s.get(digest, 0), seconds)

    for item in day.programme.items:
        for part in item.parts:
            for digest in part.media.values():
                note(digest, part.duration_s)
    for phrase in day.alert.phrases.values():
        note(phrase.siren, phrase.siren_s)
        for digest in phrase.text.values():
            note(digest, phrase.text_s)
    for digest in day.alert.exercise_phrase.values():
        note(digest, day.alert.exercise_s)
    found: dict[str, Recording] = {}
    for digest, seconds in longest_s.items():
        path = find_sound(scenario, day.sounds.get(digest, ""))
        if path is not None:
            found[digest] = _repeated(scenario, path, seconds)
    return found


def _repeated(scenario: Scenario, path: Path, seconds: int) -> Recording:
    packets = payloads.load(path, replace(scenario.sender, packet_ms=PACKET_MS)).payloads
    wanted = seconds * 1000 // PACKET_MS
    return Recording.of((packets * (-(-wanted // len(packets))))[:wanted])


def dwelling(place: Place, day: DayConfig) -> DwellingConfig:
    """Return the dwelling nearest to a pole: the surveyed one, or one by the cluster's name."""
    for house in day.houses:
        if house.cluster == place.node:
            return house.dwelling()
    number = int.from_bytes(hashlib.sha256(place.node.encode()).digest()[:4], "big")
    spread_m = int(day.house_farthest_m - day.house_nearest_m)
    return DwellingConfig(
        distance_m=day.house_nearest_m + number % (spread_m + 1),
        bearing_deg=float(number // 1000 % 360),
    )


def horns(place: Place) -> tuple[HornConfig, ...]:
    """Return the horns of a pole, spread evenly from north on, with what the amplifier gives."""
    horn, amplifier = place.profile.horn, place.profile.amplifier
    count = horn.per_pole.value
    power_w = min(horn.power_w.value, amplifier.power_w.value / count)
    return tuple(
        HornConfig(
            bearing_deg=360.0 * i / count,
            sensitivity_db=horn.sensitivity_db_spl.value,
            power_w=power_w,
        )
        for i in range(count)
    )


def node_parts(
    place: Place,
    scenario: Scenario,
    day: DayConfig,
    *,
    offset_s: int,
    station: Station,
    rules: tuple[RuleFile, ...],
    sounds: Mapping[str, Recording],
    decoder_factory: DecoderFactory | None,
) -> NodeParts:
    """Return what the node at `place` is built of at each boot."""
    card = place.profile.sound_card
    period_ns = card.period_samples.value * NS_PER_S // card.rate_hz.value
    device_ns = round(card.device_latency_ms.value * NS_PER_MS)
    return NodeParts(
        node=with_amplifier(place, node_config(place, scenario)),
        control=with_loudness(_control(place, day, station, offset_s), scenario.audio.target_lufs),
        rules=rules,
        library=sounds,
        signer=station.node_signer(place.node),
        decoder_factory=decoder_factory,
        midnight_s=midnight_s(day),
        has_rtc=place.profile.board.has_rtc.value,
        lead_ns=(card.periods.value - 1) * period_ns + device_ns,
        cpu_load=cpu_load(place.profile),
    )


def with_amplifier(place: Place, config: NodeConfig) -> NodeConfig:
    """Return the configuration of a node that mutes the amplifier of its profile."""
    release_s = min(place.profile.amplifier.mute_release_s.value, RELEASE_MAX_S)
    return replace(config, amplifier=AmplifierConfig(mute_release_s=release_s))


def _control(place: Place, day: DayConfig, station: Station, offset_s: int) -> ControlConfig:
    programme = ProgrammeConfig(
        zone=day.programme.zone,
        hamlet=place.hamlet,
        languages=day.languages.get(place.hamlet, day.programme.languages),
        offset_s=offset_s,
    )
    return ControlConfig(
        root_public_key=station.root_public_key.hex(),
        area=f"{day.area}/{place.commune}/{place.hamlet}/{place.node}",
        build_utc_s=midnight_s(day) - DAY_S,
        rules=day.rules,
        place=VolumePlace(commune=place.commune, hamlet=place.hamlet, cluster=place.node),
        priority=day.priority,
        programme=programme,
        alert=day.alert,
        regulation=day.regulation,
        horns=horns(place),
        dwelling=dwelling(place, day),
    )
