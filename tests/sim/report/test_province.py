"""A run of ten thousand clusters still is a page that can be read."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from sim.report import page, print_result
from sim.result.run import RunResult
from tests.sim.report.example_result import example_result

CLUSTERS = 10_000
EACH = 11


@pytest.fixture(scope="module")
def province() -> RunResult:
    """Return an invented run of 910 communes of eleven clusters, each somewhat worse."""
    small = example_result(nodes=EACH)
    (group,) = [one for one in small.groups if one.kind == "commune"][:1]
    rows, groups = [], [one for one in small.groups if one.kind in ("profile", "bearer")]
    for i in range(CLUSTERS):
        commune, row = i // EACH, small.nodes[i % EACH]
        rows.append(
            replace(
                row,
                node=f"node-{i:05d}",
                commune=f"Xã {commune:03d}",
                hamlet=f"Xã {commune:03d} · {row.hamlet}",
                dropout_pct=min(100.0, row.dropout_pct + commune / 1000),
                x_m=row.x_m + 9000.0 * (commune % 30),
                y_m=row.y_m + 9000.0 * (commune // 30),
            )
        )
    for commune in range(-(-CLUSTERS // EACH)):
        name = f"Xã {commune:03d}"
        groups.append(replace(group, name=name, dropout_pct=1 + commune / 1000, nodes=EACH))
    return replace(
        small,
        nodes=rows,
        groups=groups,
        raster=np.tile(small.raster, (910, 1))[:CLUSTERS],
        listen={},
    )


def test_the_page_of_ten_thousand_clusters_is_small_and_names_the_worst(province):
    text = page(province)
    assert len(text) < 3_000_000
    table = text[text.index('<table id="nodes">') :]
    assert table.count("<tr data-node=") == 200
    assert "9\u202f800 more are in results.parquet" in text
    assert "10000 clusters" in text
    worst = max(province.nodes, key=lambda row: row.dropout_pct)
    assert f'data-node="{worst.node}"' in table
    assert text.count('data-node="commune/') == 2 * 910


def test_no_name_on_the_map_stands_on_another(province):
    text = page(province)
    drawing = re.search(r'<svg[^>]*class="map".*?</svg>', text, re.DOTALL)[0]
    names = re.findall(
        r'<text x="([\d.]+)" y="([\d.]+)" class="hamlet" text-anchor="(\w+)">([^<]+)<', drawing
    )
    assert 10 <= len(names) <= 60
    assert "Xã 909" in {name for *_, name in names}
    boxes = []
    for x, y, anchor, name in names:
        wide = 5.5 * len(name)
        left = float(x) - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        boxes.append((left, float(y) - 9, left + wide, float(y)))
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_the_terminal_shows_the_worst_communes_and_says_what_it_leaves_out(province, capsys):
    print_result(province)
    told = capsys.readouterr().out
    communes = told[: told.index("Worst clusters")]
    assert "Xã 909" in communes and "Xã 000" not in communes
    assert "... 810 better ones" in told
    assert told.count("\n") < 200


def test_a_small_run_is_shown_whole():
    text = page(example_result())
    assert "results.parquet" not in text[text.index('<table id="nodes">') :].split("</table>")[0]
    assert "Every cluster" in text and "commune/" not in text
