"""A small invented result, for the tests of reports only: no number in it was simulated."""

import numpy as np

from node.counters import Origin
from sim.result.run import QUANTILES, GroupRow, ListenSample, NodeRow, RunResult, Unverified

_BEARERS = ("lte_good", "lte_weak", "wifi24_outdoor", "ftth")


def example_result(nodes: int = 12, bins: int = 60) -> RunResult:
    """Return an invented run of two communes: node 0 is perfect, the last one hears nothing."""
    rows = [_row(i, nodes) for i in range(nodes)]
    raster = np.zeros((nodes, bins), np.uint8)
    for i in range(1, nodes):
        raster[i, i :: bins // i + 1] = Origin.CONCEALED
        raster[i, 3 * i % bins] = Origin.SILENT
    raster[-1, :] = Origin.SILENT
    time_s = np.arange(48_000 * 2) / 48_000
    tone = (0.2 * np.sin(2 * np.pi * 330 * time_s)).astype(np.float32)
    heard = {"best": 0, "median": nodes // 2, "worst": nodes - 1}
    return RunResult(
        scenario="example",
        title="An invented village, for the tests of the report",
        seed=7,
        duration_s=float(bins),
        scenario_hash="ab" * 32,
        trace_hash="cd" * 32,
        verdict=f"{nodes - 1} of {nodes} clusters heard the programme; c{nodes - 1:02d} stayed "
        "silent.",
        totals={
            "nodes": nodes,
            "nodes_silent": 1,
            "dropout_pct": 3.1,
            "mouth_to_ear_p50_ms": 452.0,
            "mouth_to_ear_p95_ms": 470.0,
            "mouth_to_ear_p99_ms": 488.0,
            "mouth_to_ear_max_ms": 495.0,
            "skew_p95_ms": 1.2,
            "deadline_misses": 0,
        },
        nodes=rows,
        unverified=[
            Unverified(
                path="hw_profiles/pi_4b_i2s.toml",
                field="clock.ppm_sigma",
                value="15",
                source="assumption",
            )
        ],
        raster=raster,
        bin_s=1.0,
        delay_quantiles_ms={
            bearer: [440.0 + 5 * k + 0.1 * (1 + k) * q for q in range(QUANTILES)]
            for k, bearer in enumerate(_BEARERS)
        },
        groups=[
            _group(kind, name, [row for row in rows if getattr(row, kind) == name])
            for kind in ("commune", "hamlet", "profile", "bearer")
            for name in dict.fromkeys(getattr(row, kind) for row in rows)
        ],
        listen={
            name: ListenSample(node=rows[i].node, start_s=0.0, samples=tone / np.float32(i + 1))
            for name, i in heard.items()
        },
        cpu={"cpu_s": 2.0, "wall_s": 2.5, "node_seconds_per_cpu_s": nodes * bins / 2.0},
    )


def _row(i: int, nodes: int) -> NodeRow:
    """Return node `i`: worse with its number, and the last one silent."""
    silent = i == nodes - 1
    dropout_ms = 60_000.0 if silent else 10.0 * i * i
    return NodeRow(
        node=f"node-{i:02d}",
        commune="Thiện Tân" if i < nodes // 2 else "Hữu Liên",
        hamlet=f"Thôn {i // 2 + 1}",
        cluster=f"c{i:02d}",
        profile=("pi_zero_2w_i2s", "pi_4b_usb")[i % 2],
        bearer=_BEARERS[i % 4],
        x_m=400.0 * (i % 4) + (5000.0 if i >= nodes // 2 else 0.0),
        y_m=500.0 * (i // 4),
        packets_sent=3000,
        packets_lost=3000 if silent else 2 * i,
        packets_late=0 if silent else i,
        packets_duplicate=0,
        packets_reordered=i % 3,
        packets_discarded=0,
        stream_bytes=300_000,
        repair_bytes=0 if silent else 200 * i,
        received_ms=0.0 if silent else 60_000.0 - dropout_ms - 20.0 * i,
        redundant_ms=0.0,
        retransmitted_ms=0.0,
        in_band_fec_ms=0.0 if silent else 20.0 * i,
        concealed_ms=0.0 if silent else dropout_ms,
        faded_ms=0.0,
        silent_ms=60_000.0 if silent else 0.0,
        dropout_ms=dropout_ms,
        dropout_pct=dropout_ms / 600.0,
        dropout_events_per_hour=60.0 if silent else 30.0 * i,
        longest_gap_ms=60_000.0 if silent else 10.0 * i,
        mouth_to_ear_mean_ms=None if silent else 450.0 + i,
        mouth_to_ear_p50_ms=None if silent else 450.0 + i,
        mouth_to_ear_p95_ms=None if silent else 455.0 + i,
        mouth_to_ear_p99_ms=None if silent else 460.0 + i,
        mouth_to_ear_max_ms=None if silent else 470.0 + i,
        packetisation_ms=None if silent else 20.0,
        uplink_ms=None if silent else 5.0,
        downlink_ms=None if silent else 30.0 + i,
        jitter_buffer_ms=None if silent else 340.0,
        decode_ms=None if silent else 4.0,
        resampler_ms=None if silent else 1.0,
        device_ms=None if silent else 50.0,
        playout_delay_mean_ms=None if silent else 400.0,
        j=None if silent else 400.0 + 20.0 * i,
        skew_p50_ms=None if silent else 0.2,
        skew_p95_ms=None if silent else 0.8,
        skew_max_ms=None if silent else 1.5,
        first_sound_ms=None if silent else 455.0 + i,
        deadline_misses=0,
        hard_resyncs=0,
        skew_ppm=None if silent else 3.0 * i - 15.0,
        audio_sha256=f"{i:064x}",
    )


def _group(kind: str, name: str, rows: list[NodeRow]) -> GroupRow:
    """Return a group whose quantiles are those of its last node that plays: invented as well."""
    last = max(rows, key=lambda row: (row.mouth_to_ear_p99_ms is not None, row.node))
    return GroupRow(
        kind=kind,
        name=name,
        nodes=len(rows),
        nodes_good=sum(row.dropout_pct <= 1 for row in rows),
        nodes_silent=sum(row.first_sound_ms is None for row in rows),
        dropout_pct=sum(row.dropout_pct for row in rows) / len(rows),
        dropout_worst_pct=max(row.dropout_pct for row in rows),
        dropout_events_per_hour=sum(row.dropout_events_per_hour for row in rows) / len(rows),
        longest_gap_ms=max(row.longest_gap_ms for row in rows),
        mouth_to_ear_p50_ms=last.mouth_to_ear_p50_ms,
        mouth_to_ear_p95_ms=last.mouth_to_ear_p95_ms,
        mouth_to_ear_p99_ms=last.mouth_to_ear_p99_ms,
        mouth_to_ear_max_ms=last.mouth_to_ear_max_ms,
        skew_p50_ms=last.skew_p50_ms,
        skew_p95_ms=last.skew_p95_ms,
        skew_p99_ms=last.skew_max_ms,
        skew_max_ms=last.skew_max_ms,
        first_sound_max_ms=last.first_sound_ms,
        playout_delay_mean_ms=last.playout_delay_mean_ms,
        j_mean=last.j,
        deadline_misses=sum(row.deadline_misses for row in rows),
        repaired_pct=sum(row.in_band_fec_ms for row in rows) / len(rows) / 600,
        repair_bytes_pct=sum(row.repair_bytes for row in rows) / len(rows) / 3000,
    )
