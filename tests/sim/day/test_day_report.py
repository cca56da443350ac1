"""The day in the report, in the files and in the JSON: the same figures everywhere."""

import io
import json

import pyarrow.parquet as pq
import pytest

from sim import cli


@pytest.fixture
def ran(village, tmp_path, capsys):
    arguments = ["run", str(village), "--day", "--no-sound", "--json", "--out", str(tmp_path / "o")]
    assert cli.main(arguments) == 0
    return json.loads(capsys.readouterr().out), tmp_path / "o"


def test_the_report_shows_each_hamlets_day_and_what_the_rules_made_of_it(ran):
    told, folder = ran
    page = (folder / "report.html").read_text()
    for words in (
        "The day 2026-11-23",
        "Nothing was louder than the limit in force without a recorded justification.",
        "refused: outside the hours of hours_common at 3",
        "above the limit, with a recorded justification",
        "02:00 alert 1 of the commune: came to 3 of 3 clusters",
        "not verified:",
        told["day"]["trace_hash"],
    ):
        assert words in page
    assert page.count('class="strip"') == 2, "one hamlet, for a desk and for a telephone"


def test_the_tables_of_the_day_carry_the_rows_of_the_json(ran):
    told, folder = ran
    for name in ("nodes", "items", "spans", "decisions", "volumes", "orders", "rules"):
        table = pq.read_table(io.BytesIO((folder / "day" / f"{name}.parquet").read_bytes()))
        rows = table.to_pylist()
        assert len(rows) == len(told["day"][name])
        for row, line in zip(rows, told["day"][name], strict=True):
            assert {key: row[key] for key in line} == line
            assert row["trace_hash"] == told["trace_hash"]
