"""The drawings: nothing invented, nothing lost, names that can be read."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from node.counters import ORIGINS, Origin
from sim.report.charts import delay_distribution, stage_bars
from sim.report.raster import coarse, png, run_lengths
from sim.report.svg import Scale, number
from sim.report.village_map import village_map
from tests.sim.report.example_result import example_result

ORIGIN_ARRAYS = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 5), st.integers(1, 300)),
    elements=st.integers(0, ORIGINS - 1),
)


@given(ORIGIN_ARRAYS, st.integers(1, 80))
def test_no_dropout_is_lost_when_the_raster_is_made_coarser(origins, columns_max):
    joined = coarse(origins, columns_max)

    assert joined.shape[0] == origins.shape[0]
    assert joined.shape[1] <= columns_max or origins.shape[1] <= columns_max
    for row, small in zip(origins, joined, strict=True):
        assert (row == Origin.SILENT).any() == (small == Origin.SILENT).any()
        if (row == Origin.RECEIVED).all():
            assert (small == Origin.RECEIVED).all()
        assert set(small.tolist()) <= set(row.tolist())


@given(ORIGIN_ARRAYS)
def test_the_script_of_the_page_reads_back_every_bin(origins):
    for row, line in zip(origins.tolist(), run_lengths(origins), strict=True):
        words = [word.split("*") for word in line.split(" ")]
        assert [int(o) for o, count in words for _ in range(int(count))] == row


def test_the_raster_is_a_png_that_others_can_read(tmp_path):
    origins = (np.arange(70 * 130) % ORIGINS).astype(np.uint8).reshape(70, 130)
    path = tmp_path / "raster.png"
    path.write_bytes(png(origins))
    # In a process of its own: the decoder's library sets up threads that pytest would inherit.
    code = (
        "import av, sys; f = next(av.open(sys.argv[1]).decode(video=0));"
        "print(f.width, f.height, *f.to_ndarray(format='rgba')[0, :8].reshape(-1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    numbers = [int(word) for word in done.stdout.split()]

    assert numbers[:2] == [130, 70]
    assert numbers[2 + 3] == 0, "received sound is transparent"
    assert numbers[2 + 4 * Origin.SILENT : 2 + 4 * Origin.SILENT + 4] == [168, 28, 44, 255]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_round_inside_the_axis_and_not_too_many(low, span, count):
    ticks = Scale(low, low + span, 0, 100).ticks(count)

    assert len(ticks) <= count + 1
    slack = span * 1e-6 + abs(low) * 1e-9
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)


def test_each_link_type_has_its_curve_and_the_budget_its_line():
    quantiles = {"ftth": [100.0, 300.0, 900.0], "lte_weak": [200.0, 400.0, 1200.0]}
    drawing = delay_distribution(quantiles, width=1000, height=300)

    assert len(re.findall(r'class="curve', drawing)) == 2
    assert '<line x1="' in drawing and 'class="budget"' in drawing


def test_the_stages_of_a_bar_add_up_to_the_mean_delay():
    rows = example_result().nodes[:1]
    drawing = stage_bars(rows, width=1000)
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', drawing)]

    starts = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', drawing)]
    assert np.allclose(np.diff(starts[:7]), widths[:6], atol=0.02), "no stage hides another"
    assert len(widths) == 14, "seven stages for all clusters, seven for the one link type"
    assert abs(sum(widths[:7]) - (1000 - 62 - 148)) < 0.1
    stages = [20, 5, 30, 340, 4, 1, 50]
    assert np.allclose(np.array(widths[:7]) / sum(widths[:7]), np.array(stages) / 450, atol=1e-3)


def test_names_on_the_map_do_not_lie_on_each_other():
    rows = [
        dataclasses.replace(row, x_m=60.0 * (i % 7), y_m=40.0 * (i // 7), hamlet=f"Làng Mỏ {i}")
        for i, row in enumerate(example_result(nodes=49).nodes)
    ]
    rows.append(dataclasses.replace(rows[0], x_m=1500.0))  # the others stand close together
    drawing = village_map(rows, width=680)
    pattern = r'<text x="([\d.]+)" y="([\d.]+)" class="hamlet" text-anchor="(\w+)">([^<]+)'
    boxes = []
    for x, y, anchor, name in re.findall(pattern, drawing):
        long = 5.5 * len(name)
        left = float(x) - {"start": 0, "end": long, "middle": long / 2}[anchor]
        boxes.append((left, float(y) - 9, left + long, float(y) + 2))

    assert len(boxes) >= 8, "the others tell theirs when pointed at"
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_north_is_up_and_distances_are_true():
    row = example_result().nodes[0]
    places = [("a", 0.0, 0.0), ("b", 3000.0, 0.0), ("c", 0.0, 4000.0)]
    rows = [dataclasses.replace(row, node=name, x_m=x, y_m=y) for name, x, y in places]
    drawing = village_map(rows, width=680)
    dots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="5.5"', drawing)
    a, b, c = (np.array([float(x), float(y)]) for x, y in dots)

    assert c[1] < a[1] and b[0] > a[0]
    assert abs(np.linalg.norm(c - a) / np.linalg.norm(b - a) - 4 / 3) < 1e-3


def test_a_figure_that_does_not_exist_is_a_dash_and_not_a_zero():
    assert number(None) == "–"
    assert number(0.0, 2) == "0.00"
    assert number(-1234.5, 1) == "\u22121\u202f234.5"
