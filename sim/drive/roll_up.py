"""From the running sums of a run to its answer: rows, groups, totals and one sentence."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.counters import Count, Origin
from node.units import RATE_HZ
from sim.drive.capacity import Capacity
from sim.drive.coverage import Sparse
from sim.drive.tally import Tally
from sim.result.capacity import CapacityRow
from sim.result.run import QUANTILES, GroupRow, NodeRow, RunResult
from sim.station.programme import Sender
from sim.village.places import Place, Village
from sim.village.scenario import Scenario
from sim.village.told import fault_rows

GOOD_PCT: Final = 1.0
"""Dropouts up to here count as having heard the programme: assumption, no rule was found."""

_J_MS_PER_PERCENT: Final = 200
"""The weight of what is concealed in J (docs/glossary.md)."""

_DISCARDED: Final = (
    Count.PACKETS_DISCARDED_EARLY,
    Count.PACKETS_DISCARDED_PROBATION,
    Count.PACKETS_DISCARDED_FLUSHED,
)


_Columns = dict[str, list[Any]]
"""Figures of rows by their names, a list of all rows for each."""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """The histograms of one node, in the room of what is in them."""

    delay: Sparse
    skew: Sparse


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What is kept of finished rounds."""

    rows: list[NodeRow]
    spreads: list[Spread]
    raster: NDArray[np.uint8]
    """(nodes, bins) uint8: worst origin in each bin."""

    traces: list[bytes]
    """What the hash of the trace is taken over, of each node."""

    capacity: list[CapacityRow]
    stream_kbit_s: float
    bin_s: float


def part_of(rounds: "Finished") -> Part:
    """Return what is to be kept of finished rounds."""
    spreads = [Spread(one.delay.sparse(), one.skew.sparse()) for one in rounds.tallies]
    rows = [node_row(rounds, number, spread) for number, spread in enumerate(spreads)]
    duration_s = rounds.scenario.duration_s
    repair_kbit_s = {row.node: repair_kbit_s_of(row, duration_s) for row in rows}
    return Part(
        rows=rows,
        spreads=spreads,
        raster=np.stack([tally.coverage.raster for tally in rounds.tallies]),
        traces=[rounds.trace(number) for number in range(len(rows))],
        capacity=rounds.capacity.rows(repair_kbit_s),
        stream_kbit_s=rounds.capacity.stream_kbit_s,
        bin_s=rounds.bin_s,
    )


def repair_kbit_s_of(row: NodeRow, duration_s: float) -> float:
    """Return what was asked for and sent again to a node, on average."""
    return 8 * row.repair_bytes / 1000 / duration_s


def roll_up(scenario: Scenario, village: Village, part: Part) -> RunResult:
    """Return the answer of finished rounds, without its sound and without what it cost."""
    rows, capacity = part.rows, part.capacity
    columns = _columns(rows)
    totals = _totals(columns, part.spreads)
    totals["over_capacity"] = sum(one.over for one in capacity)
    return RunResult(
        scenario=scenario.name,
        title=scenario.title,
        seed=scenario.seed,
        duration_s=scenario.duration_s,
        scenario_hash=village.scenario_hash,
        trace_hash=hashlib.sha256(b"".join(part.traces)).hexdigest(),
        verdict=" ".join([*_over(capacity), _verdict(rows)]),
        capacity=capacity,
        faults=fault_rows(scenario, village),
        totals=totals,
        nodes=rows,
        groups=list(_groups(columns, part.spreads)),
        unverified=village.unverified,
        raster=part.raster,
        bin_s=part.bin_s,
        delay_quantiles_ms=_quantiles_per_bearer(rows, part.spreads),
        listen={},
    )


class Run(Protocol):
    """A finished run of either tier, as far as one place's row is made of it."""

    places: tuple[Place, ...]
    tallies: list[Tally]
    sender: Sender

    def counts(self, number: int) -> NDArray[np.int64]:
        """Return what one place counted, over all its boots: (COUNTS,) int64."""

    def link_bytes(self, number: int) -> tuple[int, int]:
        """Return the bytes of the stream to one place, and of what repaired it, with headers."""

    def skew_ppm(self, number: int) -> float | None:
        """Return the sender's skew as the node estimates it, or None when it never heard it."""

    def audio_sha256(self, number: int) -> str:
        """Return the hash of what one place played, float32; empty without sound."""


class Finished(Run, Protocol):
    """All finished rounds of either tier, the drive or the fleet."""

    scenario: Scenario
    capacity: Capacity
    bin_s: float

    def trace(self, number: int) -> bytes:
        """Return what the hash of the trace is taken over, of one place."""


def node_row(rounds: Run, number: int, spread: Spread | None = None) -> NodeRow:
    """Return what became of the stream at one place; its `spread` is looked up without it."""
    place, tally = rounds.places[number], rounds.tallies[number]
    if spread is None:
        spread = Spread(tally.delay.sparse(), tally.skew.sparse())
    delay = spread.delay.quantiles_ms([0.5, 0.95, 0.99])
    skew = spread.skew.quantiles_ms([0.5, 0.95])
    stages_ms = tally.stage_means_ms()
    counts, events = rounds.counts(number).tolist(), tally.coverage.events
    origins_ms, dropout_ms = tally.coverage.origins_ms(), tally.coverage.dropout_ms
    sent = rounds.sender.packets
    programme_ms = sent * rounds.sender.packet_samples * 1000 / RATE_HZ
    dropout_pct = 100 * dropout_ms / programme_ms if programme_ms else 0.0
    delay_ms = tally.playout_delay_mean_ms
    above_pct = max(0.0, dropout_pct - 100 * tally.packets_lost / max(1, sent))
    first_ns = tally.first_sound_ns
    stream_bytes, repair_bytes = rounds.link_bytes(number)
    return NodeRow(
        node=place.node,
        commune=place.commune,
        hamlet=place.hamlet,
        cluster=place.title,
        profile=place.profile.name,
        bearer=place.bearer_name,
        x_m=place.x_m,
        y_m=place.y_m,
        packets_sent=sent,
        packets_lost=tally.packets_lost,
        packets_late=counts[Count.PACKETS_LATE],
        packets_duplicate=counts[Count.PACKETS_DUPLICATE],
        packets_reordered=counts[Count.PACKETS_REORDERED],
        packets_discarded=sum(counts[name] for name in _DISCARDED),
        stream_bytes=stream_bytes,
        repair_bytes=repair_bytes,
        received_ms=origins_ms[Origin.RECEIVED],
        redundant_ms=origins_ms[Origin.REDUNDANT],
        retransmitted_ms=origins_ms[Origin.RETRANSMITTED],
        in_band_fec_ms=origins_ms[Origin.IN_BAND_FEC],
        concealed_ms=origins_ms[Origin.CONCEALED],
        faded_ms=origins_ms[Origin.FADED],
        silent_ms=origins_ms[Origin.SILENT] + origins_ms[Origin.PAUSED],
        dropout_ms=dropout_ms,
        dropout_pct=dropout_pct,
        dropout_events_per_hour=events * 3_600_000 / programme_ms if programme_ms else 0.0,
        longest_gap_ms=tally.coverage.longest_gap_ms,
        mouth_to_ear_mean_ms=_sum(stages_ms.values()),
        mouth_to_ear_p50_ms=delay[0],
        mouth_to_ear_p95_ms=delay[1],
        mouth_to_ear_p99_ms=delay[2],
        mouth_to_ear_max_ms=tally.delay.max_ms,
        **stages_ms,
        playout_delay_mean_ms=delay_ms,
        j=None if delay_ms is None else delay_ms + _J_MS_PER_PERCENT * above_pct,
        skew_p50_ms=skew[0],
        skew_p95_ms=skew[1],
        skew_max_ms=tally.skew.max_ms,
        first_sound_ms=None if first_ns is None else first_ns / 1e6,
        deadline_misses=tally.deadline_misses,
        hard_resyncs=counts[Count.HARD_RESYNCS],
        skew_ppm=rounds.skew_ppm(number),
        audio_sha256=rounds.audio_sha256(number),
    )


def _sum(parts: Iterable[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _columns(rows: Sequence[NodeRow]) -> _Columns:
    """Return what totals are made of, a list of all rows for each figure: looked up once."""
    return {name: [getattr(row, name) for row in rows] for name in (*_KINDS, *_LOOKED_UP, *_SUMMED)}


def _groups(columns: _Columns, spreads: Sequence[Spread]) -> Iterator[GroupRow]:
    """Yield one row per commune, hamlet, profile and bearer."""
    for kind in _KINDS:
        members: dict[str, list[int]] = {}
        for number, name in enumerate(columns[kind]):
            members.setdefault(name, []).append(number)
        for name, numbers in members.items():
            own = {key: [columns[key][i] for i in numbers] for key in _LOOKED_UP}
            figures: dict[str, Any] = _figures(own, [spreads[i] for i in numbers])
            yield GroupRow(kind=kind, name=name, **figures)


def _totals(columns: _Columns, spreads: Sequence[Spread]) -> dict[str, float | int | None]:
    return _figures(columns, spreads) | {name: sum(columns[name]) for name in _SUMMED}


def _figures(columns: _Columns, spreads: Sequence[Spread]) -> dict[str, float | int | None]:
    """Return the figures of a group: `GroupRow.FIGURES`."""
    repaired = map(sum, zip(*(columns[name] for name in _REPAIRED), strict=True))
    heard = map(sum, zip(columns["received_ms"], columns["dropout_ms"], strict=True))
    repaired_ms = sum(repaired)
    programme_ms = repaired_ms + sum(heard)
    stream_bytes, repair_bytes = sum(columns["stream_bytes"]), sum(columns["repair_bytes"])
    delay = _quantiles([one.delay for one in spreads])
    skew = _quantiles([one.skew for one in spreads])
    events = columns["dropout_events_per_hour"]
    return {
        "nodes": len(spreads),
        "nodes_good": sum(pct <= GOOD_PCT for pct in columns["dropout_pct"]),
        "nodes_silent": columns["first_sound_ms"].count(None),
        "dropout_pct": 100 * sum(columns["dropout_ms"]) / programme_ms if programme_ms else 0.0,
        "dropout_worst_pct": max(columns["dropout_pct"]),
        "dropout_events_per_hour": sum(events) / len(spreads),
        "longest_gap_ms": max(columns["longest_gap_ms"]),
        "mouth_to_ear_p50_ms": delay[0],
        "mouth_to_ear_p95_ms": delay[1],
        "mouth_to_ear_p99_ms": delay[2],
        "mouth_to_ear_max_ms": _largest(columns["mouth_to_ear_max_ms"]),
        "skew_p50_ms": skew[0],
        "skew_p95_ms": skew[1],
        "skew_p99_ms": skew[2],
        "skew_max_ms": _largest(columns["skew_max_ms"]),
        "first_sound_max_ms": _largest(columns["first_sound_ms"]),
        "playout_delay_mean_ms": _mean(columns["playout_delay_mean_ms"]),
        "j_mean": _mean(columns["j"]),
        "deadline_misses": sum(columns["deadline_misses"]),
        "repaired_pct": 100 * repaired_ms / programme_ms if programme_ms else 0.0,
        "repair_bytes_pct": 100 * repair_bytes / stream_bytes if stream_bytes else 0.0,
    }


_KINDS: Final = ("commune", "hamlet", "profile", "bearer")
_REPAIRED: Final = ("redundant_ms", "retransmitted_ms", "in_band_fec_ms")
_LOOKED_UP: Final = (
    *_REPAIRED, "received_ms", "dropout_ms", "stream_bytes", "repair_bytes", "dropout_pct",
    "first_sound_ms", "dropout_events_per_hour", "longest_gap_ms", "mouth_to_ear_max_ms",
    "skew_max_ms", "playout_delay_mean_ms", "j", "deadline_misses",
)  # fmt: skip
_SUMMED: Final = (
    "packets_sent", "packets_lost", "packets_late", "packets_duplicate", "packets_reordered",
    "packets_discarded", "stream_bytes", "repair_bytes", "received_ms", "redundant_ms",
    "retransmitted_ms", "in_band_fec_ms", "concealed_ms", "faded_ms", "silent_ms", "dropout_ms",
    "deadline_misses", "hard_resyncs",
)  # fmt: skip

FIGURES: Final = tuple(dict.fromkeys((*GroupRow.FIGURES, *_SUMMED, "over_capacity")))
"""Names of all totals of a run."""


def _quantiles(every: Sequence[Sparse]) -> list[float | None]:
    """Return p50, p95 and p99 over all nodes together; None where nothing was heard."""
    return [*_merged(every).quantiles_ms([0.5, 0.95, 0.99])]


def _merged(every: Sequence[Sparse]) -> Sparse:
    """Return one histogram of all, from the first bin with something in it to the last."""
    heard = [one for one in every if one.bins.size]
    low = min((int(one.bins[0]) for one in heard), default=0)
    high = max((int(one.bins[-1]) for one in heard), default=-1)
    weights = np.zeros(high + 1 - low, np.int64)
    if heard:
        # Weights are whole and their sums far below 2**53, so the float sums are exact.
        places = np.concatenate([one.bins for one in heard]) - low
        weights[:] = np.bincount(places, np.concatenate([one.weights for one in heard]))
    bins = np.arange(low, high + 1, dtype=np.int32)
    max_ns = max((one.max_ns for one in every if one.max_ns is not None), default=None)
    return Sparse(every[0].bin_ns, bins, weights, every[0].size, max_ns)


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _quantiles_per_bearer(
    rows: Sequence[NodeRow], spreads: Sequence[Spread]
) -> dict[str, list[float]]:
    shares = [q / (QUANTILES - 1) for q in range(QUANTILES)]
    found: dict[str, list[float]] = {}
    for bearer in dict.fromkeys(row.bearer for row in rows):
        own = [one.delay for row, one in zip(rows, spreads, strict=True) if row.bearer == bearer]
        quantiles = _merged(own).quantiles_ms(shares)
        if None not in quantiles:
            found[bearer] = [ms for ms in quantiles if ms is not None]
    return found


def _over(capacity: Sequence[CapacityRow]) -> list[str]:
    """Return a sentence where something does not fit."""
    over = [one.said() for one in capacity if one.over]
    return [f"Does NOT fit: {'; '.join(over)}."] if over else []


def _verdict(rows: Sequence[NodeRow]) -> str:
    """Return what a planner needs to know, in one sentence."""
    count = len(rows)
    saved_s = (
        sum(row.redundant_ms + row.retransmitted_ms + row.in_band_fec_ms for row in rows) / 1e3
    )
    saved = f"; {saved_s:.1f} s were lost and repaired" if saved_s >= 0.05 else ""
    silent = [row for row in rows if row.first_sound_ms is None]
    if len(silent) == count:
        return f"No cluster heard anything: all {count} stayed silent."
    if all(row.dropout_ms == 0 for row in rows):
        return f"All {count} clusters heard the whole programme without a dropout{saved}."
    good = sum(row.dropout_pct <= GOOD_PCT for row in rows)
    worst = max(rows, key=lambda row: (row.dropout_pct, row.node))
    heard = f"{good} of {count} clusters heard at least {100 - GOOD_PCT:g} % of the programme"
    quiet = f", {len(silent)} stayed silent" if silent else ""
    return (
        f"{heard}{quiet}; worst is {worst.cluster} in {worst.hamlet} "
        f"({worst.bearer}) with {worst.dropout_pct:.2f} % dropouts{saved}."
    )
