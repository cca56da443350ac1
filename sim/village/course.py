"""All faults of a scenario by the clock, and whom each of them meets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import hw_profiles
from node.config import require
from node.control.warning.alert_blocks import ANY_EVENT
from node.units import NS_PER_S
from sim.result.day import STRANGERS
from sim.village.faults import AT_POLES, KINDS, Fault, Span, Where, into_day_ns, merged
from sim.village.outages import cell_of, drawn, feeder_of

if TYPE_CHECKING:
    from sim.village.day_config import OrderConfig
    from sim.village.scenario import Cluster, Commune, Hamlet, Scenario

_LATEST_S: Final = 1e6
_NO_DAY: Final = ("2000-01-01", "UTC")
"""Of a scenario without one: its faults say seconds."""


@dataclass(frozen=True, slots=True)
class Befallen:
    """A fault, and from when to when, ns into the day."""

    fault: Fault
    start_ns: int
    end_ns: int
    attaches: bool = False
    """Whether it is what a modem takes after a power cut."""


class Course:
    """The faults of a scenario, those that are drawn for its seed too."""

    def __init__(self, scenario: "Scenario") -> None:
        self._day = _day_of(scenario)
        self.live_ns = live_ns(scenario)
        random = drawn(scenario, scenario.outages, live_s=self.live_ns / NS_PER_S)
        self.all = tuple(
            Befallen(fault, *span)
            for fault in (*scenario.faults, *random)
            for span in self.spans_ns(fault)
        )

    def spans_ns(self, fault: Fault) -> list[Span]:
        """Return from when to when a fault lasts, ns into the day."""
        return fault.spans_ns(*self._day, live_ns=self.live_ns)

    def at(self, where: Where) -> tuple[Befallen, ...]:
        """Return what befalls who is there."""
        return tuple(one for one in self.all if one.fault.meets(where))


def live_ns(scenario: "Scenario") -> int:
    """Return when the run begins, ns into the day; 0 without a day."""
    if scenario.day is None:
        return 0
    return into_day_ns(scenario.day.live_at, *_day_of(scenario))


def where_is(commune: "Commune", hamlet: "Hamlet", cluster: "Cluster") -> Where:
    """Return where a cluster is, by all that a fault may name."""
    return Where(
        commune=commune.name,
        hamlet=hamlet.name,
        cluster=cluster.name,
        bearer=cluster.bearer,
        cell=cell_of(cluster),
        feeder=feeder_of(commune, hamlet, cluster),
    )


def cuts_ns(
    befallen: tuple[Befallen, ...], kind: str, *ways: str, from_ns: int = 0
) -> tuple[Span, ...]:
    """Return when faults of a kind last, merged, counted from `from_ns` on.

    Of `link_down` those of the given ways; none is any.
    """
    spans = [
        (one.start_ns - from_ns, one.end_ns - from_ns)
        for one in befallen
        if one.fault.kind == kind and (not ways or one.fault.way in ways)
    ]
    return merged((max(start, 0), end) for start, end in spans if end > 0)


def require_lived(scenario: "Scenario", by: Literal["run", "fleet", "sweep"]) -> None:
    """Refuse a scenario with a fault that cannot be lived so: what is ignored would be a lie.

    Parameters
    ----------
    scenario : Scenario
        With its faults.
    by : str
        A live programme alone, by tier drive or fleet; or the orders of each hour in a sweep.

    Raises
    ------
    ConfigError
        With one line per fault.
    """
    require(not_lived(scenario, by))


def not_lived(scenario: "Scenario", by: Literal["run", "fleet", "sweep"]) -> list[str]:
    """Return what of a scenario's faults cannot be lived so, a line each, with what can."""
    remedy = {
        "run": "it is about orders, and a live programme alone has none: add --day",
        "fleet": "tier fleet does not live it; --tier drive does",
        "sweep": "the orders of each hour do not meet it; a whole day does: --only day",
    }[by]
    found = [
        f"{scenario.name}.toml: faults[{i}].kind = {one.said!r}: {remedy}"
        for i, one in enumerate(scenario.faults)
        if not _is_lived(one, by)
    ]
    return found + (list(_soundless(scenario)) if by == "sweep" else [])


def _soundless(scenario: "Scenario") -> Iterator[str]:
    """Yield the warnings that nobody hears, wherever they come: no sound is stored for them."""
    day = scenario.day
    for i, order in enumerate(() if day is None else day.orders):
        known = day is not None and {order.event, ANY_EVENT} & set(day.alert.phrases)
        if order.kind == "alert" and not known:
            yield (
                f"{scenario.name}.toml: day.orders[{i}].event = {order.event!r}: no sound is "
                "stored for it, so nobody is warned where it comes: needs a table "
                f"[day.alert.phrases.{order.event or ANY_EVENT}] with a siren"
            )


def _is_lived(fault: Fault, by: str) -> bool:
    kind = KINDS[fault.kind]
    if by == "sweep":
        return kind.sweep and fault.way == "both" and fault.keeps
    if by == "fleet":
        return not kind.run or (kind.fleet and fault.way != "up")
    return kind.run


def wrong_faults(scenario: "Scenario") -> Iterator[str]:
    """Yield what is wrong with the faults of a scenario in its village, each with its place."""
    there = [where_is(c, h, cluster) for _, c, h, cluster in scenario.clusters()]
    known = {name: dict.fromkeys(getattr(one, name) for one in there) for name in AT_POLES}
    known["feeder"].pop("", None)
    known["backhaul"] = known["commune"] = {one.name: None for one in scenario.communes}
    known["hamlet"] = {one.name: None for c in scenario.communes for one in c.hamlets}
    for i, fault in enumerate(scenario.faults):
        at = f"faults[{i}]"
        asked = {name: value for name in known if (value := getattr(fault, name)) is not None}
        wrong = {name: value for name, value in asked.items() if value not in known[name]}
        for name, value in wrong.items():
            names = ", ".join(known[name]) or f"a {name}, and no cluster names one"
            yield f"{at}.{name} = {value!r}: must be one of {names}"
        met = [one for one in there if fault.meets(one)]
        if asked and not wrong and not met:
            said = " and ".join(f"{name} = {value!r}" for name, value in asked.items())
            yield f"{at}: {said}: no cluster is at all of them; what befalls nobody is no fault"
        if fault.kind == "no_rtc" and not wrong and not any(_has_rtc(scenario, o) for o in met):
            yield f"{at}.kind = 'no_rtc': no cluster there has a clock on its board to begin with"
        if fault.kind == "congestion" and fault.backhaul is None and not wrong:
            yield from (f"{at}.kind = 'congestion': {name}" for name in _no_rate(scenario, met)[:1])
        yield from _wrong_times(scenario, fault, at)
    yield from _wrong_attacks(scenario)


def _no_rate(scenario: "Scenario", met: list[Where]) -> list[str]:
    """Return who of those met has a trace that nobody says a rate for."""
    names = {one.cluster for one in met}
    return [
        f'{one.name} has a trace, which has no rate: say like = "BEARER" beside it'
        for *_, one in scenario.clusters()
        if one.name in names and one.bearer.startswith("trace:") and one.like is None
    ]


def _wrong_times(scenario: "Scenario", fault: Fault, at: str) -> Iterator[str]:
    if fault.from_s is not None:
        until_s = fault.until_s
        if not 0 <= fault.from_s <= _LATEST_S:
            yield f"{at}.from_s = {fault.from_s}: must be 0 to {_LATEST_S:g}"
        if until_s is not None and not fault.from_s < until_s <= _LATEST_S:
            yield (
                f"{at}.until_s = {until_s}: "
                f"must be after from_s = {fault.from_s}, that 0 or more, both at most {_LATEST_S:g}"
            )
        return
    if scenario.day is None:
        yield f"{at}.start = {fault.start!r}: needs a table [day]"
        return
    begin_ns = live_ns(scenario)
    day_ns = into_day_ns("24:00", *_day_of(scenario))
    whole_ns = max(day_ns, begin_ns + round(scenario.duration_s * NS_PER_S))
    spans = fault.spans_ns(*_day_of(scenario), live_ns=begin_ns)
    if any(end < start for start, end in spans):
        yield f"{at}.end = {fault.end!r}: must be after start = {fault.start!r}"
    elif not any(start < whole_ns and (end > 0 or end == start >= 0) for start, end in spans):
        yield (
            f"{at}.start = {fault.start!r}: it is over before the day {scenario.day.date}, or "
            "comes after it; what befalls nobody is no fault"
        )


def _wrong_attacks(scenario: "Scenario") -> Iterator[str]:
    """Yield the strangers' orders that nobody could send."""
    for i, fault in enumerate(scenario.faults):
        at = f"faults[{i}]"
        day = scenario.day
        if fault.kind not in STRANGERS:
            continue
        if day is None:
            yield f"{at}.kind = {fault.kind!r}: needs a table [day]: it is about orders"
            continue
        if fault.by is not None and fault.by not in day.priority.tiers:
            yield f"{at}.by = {fault.by!r}: must be one of {', '.join(day.priority.tiers)}"
        if fault.kind == "replayed" and not any(
            repeats(fault, order, into_day_ns(order.at, *_day_of(scenario)), start_ns)
            for order in day.orders
            for start_ns, _ in fault.spans_ns(*_day_of(scenario), live_ns=live_ns(scenario))
        ):
            which = f" {fault.number}" if fault.repeats in ("alert", "cancel") else ""
            yield (
                f"{at}.repeats = {fault.repeats!r}: no {fault.repeats}{which} is ordered there "
                "before it; only what was said can be said again"
            )


def repeats(fault: Fault, order: "OrderConfig", given_ns: int, at_ns: int) -> bool:
    """Return whether what a stranger sends again at `at_ns` may be an order of `given_ns`."""
    there = fault.commune is None or order.commune in (None, fault.commune)
    numbered = fault.repeats in ("alert", "cancel")
    same = order.kind == fault.repeats and (not numbered or order.number == fault.number)
    return there and same and given_ns < at_ns


def _day_of(scenario: "Scenario") -> tuple[str, str]:
    day = scenario.day
    return _NO_DAY if day is None else (day.date, day.programme.zone)


def _has_rtc(scenario: "Scenario", where: Where) -> bool:
    profiles = {one.name: one.profile for *_, one in scenario.clusters()}
    name = profiles[where.cluster]
    return name not in hw_profiles.names() or hw_profiles.load(name).board.has_rtc.value
