"""The faults of a scenario as its answer tells them."""

from collections import Counter

from node.units import NS_PER_S
from sim.result.faults import FaultRow
from sim.village.course import Befallen, Course
from sim.village.places import Village
from sim.village.scenario import Scenario


def fault_rows(scenario: Scenario, village: Village) -> list[FaultRow]:
    """Return a row for each fault; cuts that are drawn for several who share one are one row."""
    met: Counter[Befallen] = Counter()
    for place in village.places:
        met.update(one for one in place.befallen if not one.attaches)
    written = set(scenario.faults)
    rows = [_row(one, met[one]) for one in Course(scenario).all if one.fault in written]
    together: dict[tuple[str, int, int], list[Befallen]] = {}
    for one in met:
        if one.fault not in written:
            together.setdefault((one.fault.said, one.start_ns, one.end_ns), []).append(one)
    return rows + [
        _row(group[0], sum(met[one] for one in group), drawn=True) for group in together.values()
    ]


def _row(one: Befallen, clusters: int, *, drawn: bool = False) -> FaultRow:
    return FaultRow(
        kind=one.fault.said,
        where="" if drawn else one.fault.place_words,
        from_s=one.start_ns / NS_PER_S,
        until_s=one.end_ns / NS_PER_S,
        clusters=clusters,
        drawn=drawn,
    )
