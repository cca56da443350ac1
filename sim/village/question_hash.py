"""What a scenario asks, as one number: two runs of one hash and seed are one run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from sim.links.bearer import Bearer
from sim.station.payloads import load, packets_hash
from sim.village.as_table import table_of
from sim.village.day_config import DayConfig
from sim.village.faults import Fault
from sim.village.scenario import Commune, Scenario, sound_file

if TYPE_CHECKING:
    from sim.village.places import Place

_RUN_FIELDS: Final = frozenset({"seed", "name", "path"})
"""What is not part of the question."""

_GONE_AUDIO: Final = {"ramp_db_per_s": 200.0}
"""Settings that never had an effect and are gone; a scenario keeps the hash that it always had."""

_LATER_PLACES: Final = ("feeder", "cell", "like")

_ALWAYS: Final = ("kind", "commune", "hamlet", "cluster", "bearer")
"""Of a fault."""

_LATER_IN_A_DAY: Final = {
    one.name: one.default
    for one in fields(DayConfig)
    if one.name in ("live_at", "warned_within_s", "heard_from_dba")
}


def question_hash(scenario: Scenario, places: "Sequence[Place]", used: Mapping[str, Bearer]) -> str:
    """Return a SHA-256 over everything that the answer depends on except the seed.

    Parameters
    ----------
    scenario : Scenario
        The question.
    places : sequence of Place
        All of its village.
    used : mapping
        The bearers of all links by their names.
    """
    question: dict[str, Any] = table_of(replace(scenario, communes=()))
    question = {name: value for name, value in question.items() if name not in _RUN_FIELDS}
    # A scenario without what came later keeps the hash that it always had.
    if scenario.day is None:
        del question["day"]
    else:
        for name, usual in _LATER_IN_A_DAY.items():
            if question["day"][name] == usual:
                del question["day"][name]
    if scenario.uplink is None:
        del question["uplink"]
    question["faults"] = [_said(one) for one in question["faults"]]
    if scenario.day is not None:
        question["day"]["faults"] = []
    if not scenario.outages:
        del question["outages"]
    if scenario.protection == "audio":
        del question["protection"]
    for table in ("audio", "sender"):
        question[table] = {k: v for k, v in question[table].items() if v is not None}
    question["audio"] |= _GONE_AUDIO
    # Thousands of places have a few profiles, of which each is some hundred figures.
    profiles = {place.profile.name: place.profile for place in places}
    question["profiles"] = {name: table_of(one) for name, one in profiles.items()}
    # A modem's sleep meets only the orders of a day, and its attaching who had no power.
    cut = scenario.outages or any(one.kind == "power_cut" for one in scenario.faults)
    unmet = {k for k, met in (("sleep", scenario.day is not None), ("attach_s", cut)) if not met}
    question["used_bearers"] = {
        name: _without_later(table_of(one), unmet) for name, one in used.items()
    }
    question["bearers"] = {k: _without_later(v, unmet) for k, v in question["bearers"].items()}
    question["traces"] = {
        place.bearer_name: hashlib.sha256(place.trace_ns.tobytes()).hexdigest()
        for place in places
        if place.trace_ns is not None
    }
    path = sound_file(scenario)
    question["sound"] = "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
    # What is heard are the packets, and libopus does not make the same ones on every machine.
    question["packets"] = "" if path is None else packets_hash(load(path, scenario.sender))
    # Communes one by one: all at once are 120 MB where a province has 100,000 clusters.
    before, after = _text(question).split('"communes": []')
    found = hashlib.sha256(before.encode() + b'"communes": [')
    for number, commune in enumerate(scenario.communes):
        found.update((", " if number else "").encode() + _text(_told(commune)).encode())
    found.update(b"]" + after.encode())
    return found.hexdigest()


def _text(table: dict[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, ensure_ascii=False)


def _told(commune: Commune) -> dict[str, Any]:
    """Return a commune as the hash takes it: as it was told before there was more to say."""
    told: dict[str, Any] = table_of(commune)
    for hamlet in told["hamlets"]:
        hamlet["clusters"] = [_without(one, _LATER_PLACES) for one in hamlet["clusters"]]
    told["hamlets"] = [_without(one, _LATER_PLACES) for one in told["hamlets"]]
    return _without(told, _LATER_PLACES)


def _said(fault: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a fault does not say, but for the places that it always had."""
    usual = {one.name: one.default for one in fields(Fault) if one.name not in _ALWAYS}
    return {k: v for k, v in fault.items() if k not in usual or v != usual[k]}


def _without(table: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Leave out what came later, where a scenario does not say it."""
    return {k: v for k, v in table.items() if k not in names or v is not None}


def _without_later(bearer: dict[str, Any], unmet: set[str]) -> dict[str, Any]:
    """Leave out what a bearer did not always have: where it says nothing, or nobody meets it."""
    later = {"cell_kbit_s", "sleep", "attach_s"}
    return {k: v for k, v in bearer.items() if k not in later or not (v is None or k in unmet)}
