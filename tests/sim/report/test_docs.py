"""What the documentation tells authors to write is accepted as it stands."""

import re
import tomllib
from pathlib import Path

import hw_profiles
from sim.cli import main
from sim.links import bearer as bearers
from sim.village import scenario

DOCS = Path(__file__).parents[3] / "docs"


def blocks(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


def test_the_smallest_scenario_of_the_documentation_runs_with_its_fault_and_its_day(
    tmp_path, capsys
):
    smallest, fault, outages, day = blocks("scenario.md")
    path = tmp_path / "my_village.toml"
    path.write_text(smallest + fault + outages + day, encoding="utf-8")
    out = str(tmp_path / "out")

    assert main(["check", str(path)]) == 0
    assert main(["run", str(path), "--duration", "2", "--day", "--out", out]) == 0
    assert "2 clusters" in capsys.readouterr().out


def test_every_link_type_that_ships_is_documented_and_no_other():
    text = (DOCS / "scenario.md").read_text(encoding="utf-8")
    listed = re.search(r"\(`sim/links/bearers/\*\.toml`: (.*?)\)", text, re.DOTALL)[1]

    shipped = {name for name in bearers.names() if not name.startswith("backhaul")}
    assert set(re.findall(r"`(\w+)`", listed)) == shipped


def test_the_example_profile_of_the_documentation_is_one_that_ships():
    parts = tomllib.loads(blocks("profile.md")[0])

    assert set(parts) == {"board", "sound_card", "amplifier", "horn"}
    shown = [hw_profiles.load(name) for name in hw_profiles.names()]
    files = {path for profile in shown for _, path in profile.paths}
    for part, name in parts.items():
        assert any(path.endswith(f"{part}s/{name}.toml") for path in files), part


def test_every_scenario_that_ships_has_a_question():
    assert all(scenario.load(name).question for name in scenario.names())
