"""From a script to a world: small poles whose sounds are tones, and faults put on the clock."""

import hashlib
from datetime import date
from functools import cache
from typing import Final

import hw_profiles
from node.config import NodeConfig
from node.control.calendar.programme import ItemConfig, PartConfig, ProgrammeConfig
from node.control.civil_time import instant_s, load_zone, parse_time
from node.control.loudness.noise import DwellingConfig
from node.control.loudness.regulation import RuleFile
from node.control.loudness.schedule import Place as VolumePlace
from node.control.loudness.schedule import VolumeConfig
from node.control.settings import ControlConfig
from node.control.warning.alert import AlertConfig, PhraseConfig
from node.source.stored_sound import Recording
from node.units import NS_PER_MS, NS_PER_S
from sim.day.nodes import NodeParts, horns
from sim.gateway.cpu import cpu_load
from sim.gateway.power import uptimes
from sim.links import bearer as bearers
from sim.swarm import tones
from sim.swarm.desk import AREA, COMMUNE, signer
from sim.swarm.script import EVENTS, Pole, Script, Step
from sim.village.faults import Span, merged
from sim.village.places import Place, Village
from sim.village.rules import read_rule
from sim.world.world import PoleParts

ZONE: Final = "Asia/Ho_Chi_Minh"
DATE: Final = "2026-10-30"

SIREN_S: Final = 3
TEXT_S: Final = 4
PAUSE_S: Final = 2
ONCE_S: Final = SIREN_S + TEXT_S
TIMES: Final = 2
"""So often a warning is said."""

ITEM: Final = "tin"
ITEM_S: Final = 40
ITEM_TONE: Final = 2 * len(EVENTS)
LIVE_NUMBERS: Final = (50, 51)
"""Numbers of the orders that announce live programmes."""
ITEM_AT_S: Final = 60
"""After the begin of the run the item of the calendar is due."""

_RULES: Final = ("noise_qcvn_26_2025", "hours_common")


def tones_of(event: str) -> tuple[int, int]:
    """Return the tones of a warning: its siren's, and its words'."""
    return 2 * EVENTS.index(event), 2 * EVENTS.index(event) + 1


def live_tone(number: int) -> int:
    """Return the tone of the live programme that the order of this number announces."""
    return tones.LIVE_TONES[number % len(tones.LIVE_TONES)]


def begin_s(script: Script) -> int:
    """Return the civil time at which the history begins."""
    wall = parse_time(script.begin)
    assert wall is not None, "looked at when the script was made"
    return instant_s(date.fromisoformat(DATE), wall, load_zone(ZONE))


def village_of(script: Script) -> Village:
    """Return the poles of a script in one commune with a good backhaul."""
    return Village(
        places=tuple(_place(one) for one in script.poles),
        backhauls={COMMUNE: _bearer("backhaul_fibre")},
        backhaul_names={COMMUNE: "backhaul_fibre"},
        uplink=None,
        unverified=[],
        scenario_hash="",
    )


def pole_parts(script: Script, pole: Pole, place: Place) -> PoleParts:
    """Return one pole with its node, and what power and links do to it."""

    def cuts(kind: str, *ways: str) -> tuple[Span, ...]:
        steps = [one for one in _at(script, pole, kind) if one.way in ways]
        return merged((ns_of(one.at_s), ns_of(one.end_s)) for one in steps)

    off = cuts("power_cut", "both")
    return PoleParts(
        place=place,
        parts=_node_parts(script, pole, place),
        power=tuple(
            uptimes(
                off,
                boot_ns=round(place.profile.board.boot_s.value * NS_PER_S),
                end_ns=ns_of(script.end_s),
            )
        ),
        link_cuts_ns=merged([*cuts("link_down", "both"), *_attaching(place, off)]),
        up_cuts_ns=cuts("link_down", "up"),
        down_cuts_ns=cuts("link_down", "down"),
    )


def _attaching(place: Place, off: tuple[Span, ...]) -> list[Span]:
    """Return when a modem attaches after power cuts: nothing comes or goes meanwhile."""
    if place.bearer is None or place.bearer.attach_s is None:
        return []
    return [(end, end + ns_of(place.bearer.attach_s.value)) for _, end in off]


def ns_of(seconds: float) -> int:
    """Return a time of a script in whole nanoseconds."""
    return round(seconds * NS_PER_S)


def _at(script: Script, pole: Pole, kind: str) -> list[Step]:
    return [one for one in script.steps if one.do == kind and one.pole in ("", pole.name)]


def _place(pole: Pole) -> Place:
    return Place(
        node=pole.name,
        commune=COMMUNE,
        hamlet="",
        title=pole.name,
        x_m=0.0,
        y_m=0.0,
        profile=hw_profiles.load(pole.profile),
        bearer_name=f"{pole.bearer}/{pole.name}",
        bearer=_bearer(pole.bearer),
        trace_ns=None,
        delay_ms=0,
        skew_ppm=None,
        ambient_c=28.0,
        power_cuts_ns=(),
        link_cuts_ns=(),
    )


def _node_parts(script: Script, pole: Pole, place: Place) -> NodeParts:
    card = place.profile.sound_card
    period_ns = card.period_samples.value * NS_PER_S // card.rate_hz.value
    device_ns = round(card.device_latency_ms.value * NS_PER_MS)
    return NodeParts(
        node=NodeConfig(name=pole.name),
        control=_control(script, pole, place),
        rules=_rules(),
        library=_sounds(),
        signer=signer(script.seed, f"node/{pole.name}"),
        decoder_factory=tones.new_decoder,
        midnight_s=begin_s(script),
        has_rtc=pole.clock,
        lead_ns=(card.periods.value - 1) * period_ns + device_ns,
        cpu_load=cpu_load(place.profile),
    )


def _control(script: Script, pole: Pole, place: Place) -> ControlConfig:
    return ControlConfig(
        root_public_key=signer(script.seed, "root").public_key.hex(),
        area=f"{AREA}/{COMMUNE}/{pole.name}",
        build_utc_s=begin_s(script) - 86_400,
        rules=_RULES,
        place=VolumePlace(commune=COMMUNE, hamlet="", cluster=pole.name),
        volume=VolumeConfig(volume=75, emergency_floor=90),
        programme=ProgrammeConfig(zone=ZONE, items=(_item(script),)),
        alert=_alerts(),
        horns=horns(place),
        dwelling=DwellingConfig(distance_m=40.0, bearing_deg=0.0),
    )


def _item(script: Script) -> ItemConfig:
    minutes = (begin_s(script) + ITEM_AT_S + 7 * 3600) // 60 % 1440  # the village has no summer
    return ItemConfig(
        name=ITEM,
        start=f"{minutes // 60:02}:{minutes % 60:02}",
        parts=(PartConfig(kind="file", duration_s=ITEM_S, media={"vi": media(ITEM_TONE)}),),
    )


@cache
def _alerts() -> AlertConfig:
    phrases = {}
    for event in EVENTS:
        siren, text = tones_of(event)
        phrases[event] = PhraseConfig(
            siren=media(siren), siren_s=SIREN_S, text={"vi": media(text)}, text_s=TEXT_S
        )
    return AlertConfig(
        phrases=phrases,
        repeat={"normal": 1, "priority": TIMES, "urgent": TIMES},
        interval_s=PAUSE_S,
    )


@cache
def _sounds() -> dict[str, Recording]:
    found = {media(ITEM_TONE): tones.recording(ITEM_TONE, ITEM_S)}
    for event in EVENTS:
        siren, text = tones_of(event)
        found[media(siren)] = tones.recording(siren, SIREN_S)
        found[media(text)] = tones.recording(text, TEXT_S)
    return found


def media(tone: int) -> str:
    """Return the name of the stored sound that is this tone."""
    return hashlib.sha256(f"tone {tone}".encode()).hexdigest()


@cache
def _bearer(name: str) -> bearers.Bearer:
    return bearers.load(name)


@cache
def _rules() -> tuple[RuleFile, ...]:
    from pathlib import Path

    return tuple(read_rule(name, Path()) for name in _RULES)
