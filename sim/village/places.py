"""The village of a scenario, flat: one place per node, with all that it is made of."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

import hw_profiles
from hw_profiles import Number, Profile, Switch, Whole
from node.config import ConfigError, NodeConfig, require
from node.units import NS_PER_MS, NS_PER_S
from sim.links import bearer as bearers
from sim.links.bearer import Bearer
from sim.links.traces import median_ns, read_recording
from sim.links.transits import per_packet
from sim.links.trouble import KINDS, Trouble
from sim.result.run import Unverified
from sim.village.course import Befallen, Course, cuts_ns, where_is
from sim.village.faults import Span
from sim.village.question_hash import question_hash
from sim.village.scenario import Cluster, Commune, Hamlet, Scenario, trace_file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """One node and all that the simulator needs to know of where it stands."""

    node: str
    commune: str
    hamlet: str
    title: str
    x_m: float
    y_m: float
    profile: Profile
    bearer_name: str
    bearer: Bearer | None
    """None when a trace takes its place."""

    trace_ns: NDArray[np.int64] | None
    delay_ms: int
    skew_ppm: float | None
    ambient_c: float
    power_cuts_ns: tuple[Span, ...]
    link_cuts_ns: tuple[Span, ...]
    """When nothing comes down to it."""

    like: Bearer | None = None
    """Of a trace: whose rate, queue, cell and modem its link has, where that is said."""
    like_name: str = ""
    card_cuts_ns: tuple[Span, ...] = ()
    """When its sound card is gone."""

    slot_ns: int = 20 * NS_PER_MS
    """Of a trace: from one packet of it to the next."""
    cell: str = ""
    """The cell that it names, of several; empty: that of its bearer."""
    befallen: tuple[Befallen, ...] = ()
    """All that befalls it, in the run and its day."""

    live_ns: int = 0
    """When the run begins, ns into the day: `power_cuts_ns` and its like count from there."""

    @property
    def cell_name(self) -> str:
        """Return what those have in common whom one cell serves."""
        name = self.like_name or self.bearer_name
        return f"{name}@{self.cell}" if self.cell not in ("", name) else name

    @property
    def rated(self) -> Bearer | None:
        """Return whose rate, queue, cell and modem the link has; None: a trace tells none."""
        return self.bearer or self.like

    @property
    def way_up_ns(self) -> int:
        """Return what the link takes at the least on the way up: a trace tells of the way down."""
        if self.rated is not None:
            return round(self.rated.one_way_ms.value * NS_PER_MS)
        assert self.trace_ns is not None, "one of both"
        return median_ns(self.trace_ns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Village:
    """Places in the order of the scenario, and the backhaul of each commune."""

    places: tuple[Place, ...]
    backhauls: dict[str, Bearer]
    backhaul_names: dict[str, str]
    """Name of the bearer of each commune's backhaul."""

    uplink: Bearer | None
    """Of the one station of all communes."""

    unverified: list[Unverified]
    scenario_hash: str

    sharing: "tuple[Village, tuple[int, ...]] | None" = None
    """Of a part of a village: the whole, whose copies pass the uplink, and which of them are this
    part's; None: all there are."""

    def parts(self) -> "list[Village]":
        """Return each commune by itself: what its clusters share with others is the uplink."""
        members: dict[str, list[int]] = {}
        for number, place in enumerate(self.places):
            members.setdefault(place.commune, []).append(number)
        return [
            replace(
                self,
                places=tuple(self.places[i] for i in numbers),
                backhauls={commune: self.backhauls[commune]},
                backhaul_names={commune: self.backhaul_names[commune]},
                sharing=(self, tuple(numbers)),
            )
            for commune, numbers in members.items()
        ]


def build_village(scenario: Scenario, *, with_hash: bool = True) -> Village:
    """Return the village of `scenario`.

    Parameters
    ----------
    scenario : Scenario
    with_hash : bool
        False leaves the hash of the scenario empty: it reads and encodes the sound.

    Raises
    ------
    ConfigError
        When a profile, a bearer or a trace cannot be read; one line per fault.
    """
    errors: list[str] = []
    course = Course(scenario)
    places = [
        _place(scenario, course, (commune, hamlet, cluster), errors)
        for _, commune, hamlet, cluster in scenario.clusters()
    ]
    require(errors)
    whole = tuple(place for place in places if place is not None)
    backhauls = {
        commune.name: find_bearer(scenario, commune.backhaul) for commune in scenario.communes
    }
    return Village(
        places=whole,
        backhauls=backhauls,
        backhaul_names={commune.name: commune.backhaul for commune in scenario.communes},
        uplink=None if scenario.uplink is None else find_bearer(scenario, scenario.uplink),
        unverified=list(_unverified(scenario, whole)),
        scenario_hash=question_hash(scenario, whole, _used(scenario, whole)) if with_hash else "",
    )


def find_bearer(scenario: Scenario, name: str) -> Bearer:
    """Return the bearer `name` of the scenario itself, or the one that ships."""
    return scenario.bearers[name] if name in scenario.bearers else _shipped_bearer(name)


@cache
def _shipped_bearer(name: str) -> Bearer:
    return bearers.load(name)


@cache
def _profile(name: str) -> Profile:
    return hw_profiles.load(name)


def _place(
    scenario: Scenario,
    course: Course,
    where: tuple[Commune, Hamlet, Cluster],
    errors: list[str],
) -> Place | None:
    commune, hamlet, cluster = where
    try:
        trace = trace_file(scenario, cluster.bearer)
        packet_ns = round(scenario.sender.packet_ms * NS_PER_MS)
        trace_ns = None if trace is None else per_packet(trace, read_recording(trace), packet_ns)
        bearer = find_bearer(scenario, cluster.bearer) if trace is None else None
        profile = _profile(cluster.profile)
    except ConfigError as fault:
        errors.extend(line for line in str(fault).splitlines() if line not in errors)
        return None
    befallen = course.at(where_is(commune, hamlet, cluster)) if course.all else ()
    place = Place(
        node=cluster.name,
        commune=commune.name,
        hamlet=hamlet.name,
        title=cluster.title or cluster.name,
        x_m=commune.x_m + hamlet.x_m + cluster.x_m,
        y_m=commune.y_m + hamlet.y_m + cluster.y_m,
        profile=profile,
        bearer_name=cluster.bearer if trace is None else f"trace:{trace.name}",
        bearer=bearer,
        trace_ns=trace_ns,
        slot_ns=packet_ns,
        like=None if cluster.like is None else find_bearer(scenario, cluster.like),
        like_name=cluster.like or "",
        delay_ms=cluster.delay_ms,
        skew_ppm=cluster.skew_ppm,
        ambient_c=commune.ambient_c,
        power_cuts_ns=cuts_ns(befallen, "power_cut", from_ns=course.live_ns),
        link_cuts_ns=(),
        card_cuts_ns=cuts_ns(befallen, "card_gone", from_ns=course.live_ns),
        cell=cluster.cell or "",
        befallen=befallen,
        live_ns=course.live_ns,
    )
    return with_parts(place, bearer, profile) if befallen else place


def with_parts(place: Place, bearer: Bearer | None, profile: Profile) -> Place:
    """Return a place with another bearer and gateway: after the power its modem has to attach."""
    befallen = tuple(one for one in place.befallen if not one.attaches)
    if (modem := bearer or place.like) is not None and modem.attach_s is not None:
        attach_ns = round(modem.attach_s.value * NS_PER_S)
        befallen += tuple(
            Befallen(replace(one.fault, kind="link_down"), one.end_ns, one.end_ns + attach_ns, True)
            for one in befallen
            if one.fault.kind == "power_cut"
        )
    link_cuts_ns = cuts_ns(befallen, "link_down", "both", "down", from_ns=place.live_ns)
    return replace(
        place, bearer=bearer, profile=profile, befallen=befallen, link_cuts_ns=link_cuts_ns
    )


def day_cuts(place: Place, kind: str) -> tuple[Span, ...]:
    """Return (start, end) of the faults of one kind that meet a node, merged, ns into the day."""
    return cuts_ns(place.befallen, kind)


def troubles(place: Place) -> tuple[Trouble, ...]:
    """Return what befalls packets on the last link to a place, ns of the run.

    Detours, and damage on the backhaul, come to the same thing there.
    """
    return tuple(
        Trouble(
            fault.kind,
            one.start_ns - place.live_ns,
            one.end_ns - place.live_ns,
            1.0 if fault.share is None else fault.share,
            fault.extra_ns,
        )
        for one in place.befallen
        if (fault := one.fault).kind in KINDS
        and (fault.kind != "congestion" or fault.backhaul is None)
    )


def _unverified(scenario: Scenario, places: tuple[Place, ...]) -> Iterator[Unverified]:
    """Yield each number in use that nobody has checked, once."""
    seen: set[tuple[str, str]] = set()
    # By which one it is: to compare profiles takes long.
    for profile in {id(place.profile): place.profile for place in places}.values():
        for path, name, figure in profile.figures():
            if not figure.verified and (path, name) not in seen:
                seen.add((path, name))
                yield _one_unverified(path, name, figure)
    for bearer_name, bearer in _used(scenario, places).items():
        own = bearer_name in scenario.bearers
        path = f"{scenario.name}.toml" if own else bearers.shown(bearer_name)
        prefix = f"bearers.{bearer_name}." if own else ""
        for name, figure in bearer.figures():
            if not figure.verified:
                yield _one_unverified(path, prefix + name, figure)
    for name, place in {one.bearer_name: one for one in places if one.rated is None}.items():
        yield Unverified(
            path=name.removeprefix("trace:"),
            field="way up",
            value=f"{place.way_up_ns / NS_PER_MS:g} ms",
            source='the median of the way down; say like = "BEARER" beside it',
        )
    for i, one in enumerate(scenario.outages):
        for name in ("per_year", "hours_per_year"):
            figure = getattr(one, name)
            if not figure.verified:
                yield _one_unverified(f"{scenario.name}.toml", f"outages[{i}].{name}", figure)


def _used(scenario: Scenario, places: tuple[Place, ...]) -> dict[str, Bearer]:
    """Return the bearers of all links by their names."""
    used = {one.like_name or one.bearer_name: one.rated for one in places if one.rated is not None}
    used |= {one.backhaul: find_bearer(scenario, one.backhaul) for one in scenario.communes}
    if scenario.uplink is not None:
        used[scenario.uplink] = find_bearer(scenario, scenario.uplink)
    return used


def _one_unverified(path: str, name: str, figure: Number | Whole | Switch) -> Unverified:
    return Unverified(path=path, field=name, value=str(figure.value), source=figure.source)


def node_config(place: Place, scenario: Scenario) -> NodeConfig:
    """Return what the node at `place` is configured with."""
    audio = scenario.audio
    if scenario.protection == "profile":
        audio = replace(
            audio,
            high_pass_hz=place.profile.horn.low_hz.value,
            power_limit_db=place.profile.amplifier.thermal_limit_db.value,
        )
    return NodeConfig(
        name=place.node,
        jitter=replace(scenario.jitter, delay_ms=place.delay_ms),
        audio=audio,
        opus=scenario.opus,
    )
