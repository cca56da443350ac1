"""What one run answers: a row per node, the roll-ups, and what was heard. Reports read this."""

from dataclasses import asdict, dataclass, field
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from node.counters import ORIGINS, Origin
from sim.result.capacity import CapacityRow, data_line
from sim.result.day import DayResult
from sim.result.faults import FaultRow
from sim.result.wall_clock import WallClock

QUANTILES: Final = 101
"""Points of a delay distribution: 0, 1, ... 100 percent."""

STAGES: Final = (
    "packetisation_ms",
    "uplink_ms",
    "downlink_ms",
    "jitter_buffer_ms",
    "decode_ms",
    "resampler_ms",
    "device_ms",
)
"""Stage means of a `NodeRow`, in the order of the way; they sum to the mean mouth-to-ear delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One node of one run, in the words of docs/glossary.md.

    The delays are None where the node played nothing: no number stands for "never".
    """

    node: str
    commune: str
    hamlet: str
    cluster: str
    profile: str
    bearer: str
    x_m: float
    y_m: float
    packets_sent: int
    packets_lost: int
    packets_late: int
    packets_duplicate: int
    packets_reordered: int
    packets_discarded: int
    stream_bytes: int
    """What the node's link carried of the stream, headers of IPv4 and UDP included."""

    repair_bytes: int
    """Beside it: requests for lost packets, and what was sent again."""

    received_ms: float
    redundant_ms: float
    retransmitted_ms: float
    in_band_fec_ms: float
    concealed_ms: float
    faded_ms: float
    silent_ms: float
    dropout_ms: float
    dropout_pct: float
    dropout_events_per_hour: float
    longest_gap_ms: float
    mouth_to_ear_mean_ms: float | None
    mouth_to_ear_p50_ms: float | None
    mouth_to_ear_p95_ms: float | None
    mouth_to_ear_p99_ms: float | None
    mouth_to_ear_max_ms: float | None
    packetisation_ms: float | None
    uplink_ms: float | None
    downlink_ms: float | None
    jitter_buffer_ms: float | None
    decode_ms: float | None
    resampler_ms: float | None
    device_ms: float | None
    playout_delay_mean_ms: float | None
    j: float | None
    skew_p50_ms: float | None
    skew_p95_ms: float | None
    skew_max_ms: float | None
    first_sound_ms: float | None
    deadline_misses: int
    hard_resyncs: int
    skew_ppm: float | None
    audio_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """All nodes of one commune, hamlet, profile or bearer together; fields as in `NodeRow`."""

    FIGURES: ClassVar[tuple[str, ...]] = (
        "nodes", "nodes_good", "nodes_silent", "dropout_pct", "dropout_worst_pct",
        "dropout_events_per_hour", "longest_gap_ms", "mouth_to_ear_p50_ms", "mouth_to_ear_p95_ms",
        "mouth_to_ear_p99_ms", "mouth_to_ear_max_ms", "skew_p50_ms", "skew_p95_ms", "skew_p99_ms",
        "skew_max_ms", "first_sound_max_ms", "playout_delay_mean_ms", "j_mean", "deadline_misses",
        "repaired_pct", "repair_bytes_pct",
    )  # fmt: skip

    kind: str
    """One of "commune", "hamlet", "profile", "bearer"."""

    name: str
    nodes: int
    nodes_good: int
    """Those with at most 1 % dropouts."""

    nodes_silent: int
    dropout_pct: float
    dropout_worst_pct: float
    dropout_events_per_hour: float
    longest_gap_ms: float
    mouth_to_ear_p50_ms: float | None
    mouth_to_ear_p95_ms: float | None
    mouth_to_ear_p99_ms: float | None
    mouth_to_ear_max_ms: float | None
    skew_p50_ms: float | None
    skew_p95_ms: float | None
    skew_p99_ms: float | None
    skew_max_ms: float | None
    first_sound_max_ms: float | None
    playout_delay_mean_ms: float | None
    j_mean: float | None
    deadline_misses: int
    repaired_pct: float
    """Share of the programme that came with another packet or a second time."""

    repair_bytes_pct: float
    """What that cost, of the bytes of the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """One number that the run used and nobody has checked."""

    path: str
    """File it stands in, relative to the repository."""

    field: str
    """Dotted name of the field."""

    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSample:
    """What one cluster played."""

    node: str
    start_s: float
    """Where in the run the sound begins."""

    samples: NDArray[np.float32]
    """(n,) float32, mono, 48 kHz, full scale 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The answer of one run. Everything but `cpu` is exact: the same for the same seed."""

    scenario: str
    title: str
    seed: int
    duration_s: float
    scenario_hash: str
    trace_hash: str
    verdict: str
    totals: dict[str, float | int | None]
    nodes: list[NodeRow]
    unverified: list[Unverified]
    raster: NDArray[np.uint8]
    """(nodes, bins) uint8: the worst `counters.Origin` heard in each bin; PAUSED counts best."""

    bin_s: float
    delay_quantiles_ms: dict[str, list[float]]
    """Per bearer, mouth-to-ear delay at 0, 1, ... 100 percent of the audio."""

    listen: dict[str, ListenSample]
    """Keys "best", "median", "worst"."""

    groups: list[GroupRow] = field(default_factory=list)
    """The same figures per commune, hamlet, profile and bearer."""

    capacity: list[CapacityRow] = field(default_factory=list)
    """What was asked of each shared rate."""

    faults: list[FaultRow] = field(default_factory=list)
    """What went wrong, in the run and its day."""

    day: DayResult | None = None
    """A whole day of the same village, when it was asked for."""

    cpu: dict[str, float] = field(default_factory=dict)
    """What the machine spent: cpu_s, wall_s, node_seconds_per_cpu_s. Never hashed."""

    @property
    def clock(self) -> WallClock | None:
        """Return the clocks of its day; None where the run has none."""
        return None if self.day is None else self.day.clock

    def data_line(self) -> str:
        """Return what a SIM pays, and what the stations send."""
        each = [row.stream_bytes + row.repair_bytes for row in self.nodes]
        return data_line(each, self.duration_s)

    def summary(self) -> dict[str, object]:
        """Return everything but the arrays, JSON-able: what `--json` prints."""
        whole: dict[str, object] = {
            name: getattr(self, name)
            for name in ("scenario", "title", "seed", "duration_s", "scenario_hash", "trace_hash")
        }
        unwarned: dict[str, object] = {}
        by_clock = asdict if self.day is None else self.day.clock.row
        if self.day is not None:
            unwarned["unwarned"] = [by_clock(one) for one in self.day.unwarned()]
        return whole | {
            "verdict": self.verdict,
            **unwarned,
            "totals": self.totals,
            "nodes": [asdict(row) for row in self.nodes],
            "groups": [asdict(row) for row in self.groups],
            "capacity": [asdict(row) | {"fits": row.fits} for row in self.capacity],
            "data": self.data_line(),
            "faults": [by_clock(row) for row in self.faults],
            "unverified": [asdict(one) for one in self.unverified],
            "delay_quantiles_ms": self.delay_quantiles_ms,
            "day": None if self.day is None else self.day.summary(),
            "cpu": self.cpu,
        }


def worst_first(origins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how bad each `Origin` sounds, 0 is best: PAUSED before RECEIVED before the rest.

    origins  (n,) int64, index of a `counters.Origin`

    The result is a rank for each, a count from 0: (n,) int64.
    """
    rank = np.arange(1, ORIGINS + 1, dtype=np.int64)
    rank[Origin.PAUSED] = 0
    return rank[origins]
