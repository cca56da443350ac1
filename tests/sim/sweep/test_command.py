"""`loalang-sim sweep`: the answer of a planner's question, its files, and what it refuses."""

import json
import re
from pathlib import Path

import pytest

from sim import cli

DOCS = Path(__file__).parents[3] / "docs" / "sweeps.md"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return the folder of a sweep of programme and orders over two playout delays."""
    from tests.sim.sweep.conftest import UNKNOWN, VILLAGE

    folder = tmp_path_factory.mktemp("sweep")
    (folder / "doai.toml").write_text(VILLAGE)
    (folder / "villages.toml").write_text(UNKNOWN)
    status = cli.main(
        [
            *("sweep", str(folder / "doai.toml"), "--sample", str(folder / "villages.toml")),
            *("--set", "jitter.playout_delay_ms=200,600", "--seeds", "1", "--villages", "2"),
            *("--workers", "1", "--out", str(folder / "out")),
        ]
    )
    assert status == 0
    return folder / "out"


def test_ten_questions_of_the_documentation_are_answered_by_duckdb(done, monkeypatch):
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(done)
    block = re.search(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]
    questions = [line for line in block.splitlines() if not line.startswith("--")]
    assert len(questions) == 10
    for question in questions:
        assert duckdb.sql(question).fetchall(), question
    rows = duckdb.sql("SELECT variant, count(*) FROM 'rows.parquet' GROUP BY 1 ORDER BY 1")
    assert rows.fetchall() == [
        ("jitter.playout_delay_ms=200", 8),
        ("jitter.playout_delay_ms=600", 8),
    ]


def test_all_variants_meet_the_same_dice(done):
    duckdb = pytest.importorskip("duckdb")
    table = f"'{done / 'rows.parquet'}'"
    lost = duckdb.sql(
        f"SELECT count(DISTINCT (packets_lost, bearer, x_m)) FROM {table} GROUP BY throw, node"
    )
    assert {one for (one,) in lost.fetchall()} == {1}


def test_every_figure_has_its_interval_in_json_and_on_the_page(done):
    told = json.loads((done / "odds.json").read_text())
    assert [one["label"] for one in told["variants"]] == [
        "jitter.playout_delay_ms=200",
        "jitter.playout_delay_ms=600",
    ]
    for one in told["variants"]:
        assert len(one["by_hour"]) == 24
        for name, figure in one["figures"].items():
            assert figure.keys() == {"value", "low", "high"}, name
    second = told["variants"][1]
    assert second["against_first"]["delay_p99_ms"]["value"] == pytest.approx(400, abs=60)
    # Orders do not go through the playout buffer: the variants are known to be alike.
    assert second["against_first"]["clusters_warned"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    page = (done / "odds.html").read_text()
    assert page.count("<polygon") >= 2 * 2 * 2  # two curves, two pictures, two widths
    assert "http" not in page.replace("http-equiv", "")


def test_the_example_of_the_documentation_is_read(files):
    from sim.sweep.sampling import read_sample
    from sim.village import scenario

    files[1].write_text(re.search(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)[1])
    sample = read_sample(files[1], scenario.load("huu_lien"))
    assert len(sample.outages) == 2 and sample.households == {"hl-01": 80}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "jitter.playout_delay_s=1"], "playout_delay_s"),
        (["--set", "jitter.playout_delay_ms=fast"], "playout_delay_ms"),
        (["--set", "lte_weak.loss_pc=1"], "lte_weak.loss_pct"),
        (["--set", "lte_weak.loss_pct=101"], "0 to 100"),
        (["--set", "lte_weak.loss_pct=much"], "lte_weak.loss_pct"),
        (["--until", "odds ± 1"], "odds_heard"),
        (["--villages", "3"], "--sample"),
        (["--seeds", "0"], "1 to 1000000"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_runs(files, tmp_path, capfd, arguments, said):
    out = tmp_path / "out"
    try:
        status = cli.main(["sweep", str(files[0]), *arguments, "--out", str(out)])
    except SystemExit as left:
        status = left.code
    assert status == 2
    assert said in capfd.readouterr().err
    assert not out.exists()


def test_orders_of_each_hour_are_refused_beside_a_programme_that_fills_their_way(tmp_path, capfd):
    """All forty were said to be warned in time, of whom the day says that 33 are not."""
    out = tmp_path / "out"
    arguments = ["sweep", "full_cell", "--seeds", "1", "--workers", "1", "--out", str(out)]
    assert cli.main([*arguments, "--only", "warning"]) == 2
    assert "of 100 kbit/s" in (said := capfd.readouterr().err) and "--only day" in said
    assert not out.exists()


DAY = """
[day]
date = "2026-10-30"
live_at = "02:00"
[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 2
text = { vi = "announcement_vi.flac" }
text_s = 2
[[day.orders]]
at = "02:00"
kind = "alert"
ttl_s = 600
[[day.orders]]
at = "03:00"
kind = "alert"
number = 2
ttl_s = 600
hamlet = "Thôn Đoài"
[[faults]]
kind = "power_cut"
cluster = "d-04"
start = "01:00"
end = "05:00"
[[communes]]
"""


def test_a_day_asks_the_nodes_own_controllers_who_was_warned(files, tmp_path, capfd):
    duckdb = pytest.importorskip("duckdb")
    text = files[0].read_text()
    files[0].write_text(text.replace("[[communes]]\n", DAY, 1))
    out = tmp_path / "out"
    arguments = ["sweep", str(files[0]), "--only", "day", "--seeds", "1", "--workers", "1"]
    assert cli.main([*arguments, "--json", "--out", str(out)]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["warned_is"] == "heard"
    (one,) = told["variants"]
    assert one["never_warned"] == ["d-04"] and one["by_hour"] == []
    assert one["figures"]["clusters_warned"]["value"] == 0.75
    rows = duckdb.sql(f"SELECT node, fates FROM '{out / 'rows.parquet'}' ORDER BY node").fetchall()
    assert dict(rows) == {
        "d-01": ["heard", "heard"],
        "d-02": ["heard", "heard"],
        "d-03": ["heard"],
        "d-04": ["not heard"],
    }


def test_a_day_without_a_warning_is_refused(files, tmp_path, capfd):
    arguments = ["sweep", str(files[0]), "--only", "day", "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 2
    assert "no day with a warning" in capfd.readouterr().err


@pytest.mark.parametrize("known", [1, 4])
def test_what_the_odds_say_nothing_of_stands_below_them(files, tmp_path, capfd, known):
    """Households of one cluster in four are not those of the village; a trace throws no dice."""
    (tmp_path / "t.csv").write_text("20\n" * 50)
    text = files[0].read_text()
    assert text.count('"ftth"') == 1
    files[0].write_text(text.replace('"ftth"', '"trace:t.csv"'))
    homes = "\n".join(f"d-0{i + 1} = 80" for i in range(known))
    files[1].write_text(f"[households]\n{homes}\n")
    asked = ["sweep", str(files[0]), "--sample", str(files[1]), "--villages", "1", "--seeds", "1"]
    asked += ["--only", "programme", "--workers", "1", "--out", str(tmp_path / "out")]
    assert cli.main(asked) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert ("households are known of 1 clusters, and of no others" in told) == (known == 1)
    assert "the traces of 1 clusters begin alike in each throw" in told
    assert cli.main([*asked, "--json"]) == 0
    whole = json.loads(capfd.readouterr().out)
    assert (whole["clusters_with_households"], whole["clusters_with_traces"]) == (known, 1)
    dropout = whole["variants"][0]["figures"]["dropout_pct"]
    assert dropout["high"] - dropout["low"] > 20, "of one throw nothing is sure"
