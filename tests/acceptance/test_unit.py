"""The unit that ships: systemd takes it, it exposes little, and a pole is never given up."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import process

PACKAGING = Path(__file__).parents[2] / "packaging"
UNIT = PACKAGING / "loalang-node.service"
EXPOSURE_MAX = 2.5


WATCH = "loalang-watch@.service"
BRIDGE = "loalang-home-assistant@.service"


@pytest.fixture(params=["loalang-node.service", "loalang-refresh.service", WATCH, BRIDGE])
def unit(tmp_path, request):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt install systemd")
    copy = tmp_path / request.param.replace("@", "@root-station")  # a template needs a station
    text = (PACKAGING / request.param).read_text()
    copy.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    return copy


def told(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_systemd_has_nothing_to_say_against_the_unit(unit):
    assert told("verify", str(unit)) == ""


def test_the_unit_exposes_little(unit):
    said = told("security", "--offline=true", "--no-pager", str(unit))
    overall = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert overall is not None, said
    assert float(overall[1]) <= EXPOSURE_MAX


def test_it_starts_again_whatever_it_was_but_a_wrong_configuration():
    text = UNIT.read_text()
    assert "Restart=always" in text and "RestartPreventExitStatus=2\n" in text
    assert "StartLimitIntervalSec=0" in text
    assert "LoadCredential" not in text, "no page tells how to make one"


def test_the_supervisor_waits_longer_than_an_orderly_end_takes():
    from node.shell.broker.mqtt import CLOSE_S
    from node.shell.store.store import CLOSE_WAIT_S

    stop = re.search(r"TimeoutStopSec=(\d+)", UNIT.read_text())
    assert stop is not None and int(stop[1]) > 2 * CLOSE_S + 2 + CLOSE_WAIT_S


def given_by_systemd(unit, folder, given):
    """Make the folder of credentials as systemd does: a folder's files have flat names."""
    given.mkdir()
    for name, path in re.findall(r"LoadCredential=(\S+):%f/(\S+)", (PACKAGING / unit).read_text()):
        one = folder / path
        assert one.exists(), f"the station has no {path}: the unit would not start"
        for file in one.iterdir() if one.is_dir() else [one]:
            whole = f"{name}_{file.name}" if one.is_dir() else name
            (given / whole).write_bytes(file.read_bytes())
    return {one.name for one in given.iterdir()}


def test_the_watch_gets_what_a_station_has_and_no_key_that_orders(tmp_path, monkeypatch):
    """Its folder is made as systemd makes it: each credential by its name, a folder's flattened."""
    from node.shell.station.cli import main
    from node.shell.station.folder import NodeEntry, Station

    folder, given = tmp_path / "station", tmp_path / "credentials"
    monkeypatch.chdir(tmp_path)
    asked = ["init", "--area", "vn/lang-son/huu-lien", "--broker", "127.0.0.1:1"]
    assert main([*asked, "--reload", "true", "--folder", str(folder)]) == 0
    Station.open(folder).keep(NodeEntry(name="coc-1", area="vn/x/coc-1", public_key=b"k" * 32))
    there = given_by_systemd(WATCH, folder, given)
    assert there == {"station.json", "ca.pem", "office.pem", "office.key", "nodes_coc-1.json"}
    assert [one.name for one in Station.open(given).nodes()] == ["coc-1"]
    assert main(["watch", "--folder", str(given), "--wait", "1"]) == 1, "no broker: tried again"
    assert main(["watch", "--folder", str(tmp_path / "none")]) == 2, "a person is needed"


@pytest.mark.parametrize(
    "unit", [UNIT, *PACKAGING.glob("loalang-[rw]*.service")], ids=lambda p: p.name
)
def test_a_unit_runs_nothing_that_a_minimal_debian_lacks(unit):
    """Its `kill` is a word of the shell; the program is in procps, which nobody must have."""
    programs = set(re.findall(r"^Exec\w+=(\S+)", unit.read_text(), re.MULTILINE))
    beside = {one for one in programs if not one.startswith("/opt/loalang/bin/")}
    assert beside <= {"/bin/sh"}


def test_the_documents_have_each_line_that_the_nightly_installation_types():
    """`.ci/boot` and `.ci/nat` read their commands there: who rewrites a page finds out at once."""
    root = PACKAGING.parent
    scripts = "".join(one.read_text() for one in (root / ".ci").iterdir() if one.is_file())
    typed = re.findall(r'written\(\s*"([\w.]+)",\s*[\'"](.+?)[\'"]\)', scripts)
    assert len(typed) >= 8
    for document, begins in typed:
        lines = (root / "docs" / document).read_text().splitlines()
        begun = [one for one in lines if one.removeprefix("$ ").startswith(begins)]
        assert begun, f"docs/{document} has no line {begins!r}"


def test_the_readme_has_each_line_that_the_nightly_installation_types_and_in_its_order():
    """`.ci/boot` types a whole section of it: no line may be there that it does not type."""
    root = PACKAGING.parent
    script = (root / ".ci/boot").read_text()
    (heading,) = re.findall(r'Readme\("(.+?)"\)', script)
    (begins,) = re.findall(r"begins = \((.+?)\)", script)
    section = re.split(r"\n##+ ", (root / "README.md").read_text().partition(f"\n{heading}\n")[2])[
        0
    ]
    blocks = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    typed = [*re.findall(r'readme\.next\("(.+?)"\)', script), *re.findall(r'"(.+?)"', begins)]
    assert len(lines) == len(typed) >= 9
    for one in typed:
        assert any(line.startswith(one) for line in lines), f"README.md has no line {one!r}"


def test_what_a_node_keeps_stays_when_the_other_slot_of_an_image_starts():
    """The file of rpi-image-gen's image-rota names the folder in which the unit keeps its state."""
    told = dict(
        line.split("=", 1)
        for line in (PACKAGING / "slot-shared.conf").read_text().splitlines()
        if line and not line.startswith("#")
    )
    state = re.search(r"^StateDirectory=(\S+)$", UNIT.read_text(), re.MULTILINE)
    assert state is not None
    assert told == {"Version": "1", "Path": f"/var/lib/{state[1]}"}
    build = (PACKAGING / "build.sh").read_text()
    assert "slot-shared.d/loalang.conf" in build


def test_the_bridge_gets_its_own_key_none_of_the_stations_and_the_nodes_as_they_are_now(
    commune, tmp_path
):
    given, text = tmp_path / "credentials", (PACKAGING / BRIDGE).read_text()
    commune.sound()
    commune.enrol(commune.gateway("first"), "coc-1")
    commune.does("home-assistant", "enable")
    there = given_by_systemd(BRIDGE, commune.station, given)
    own = {"order.key", "certificate.bin", "bridge.pem", "bridge.key", "offer.json"}
    assert there == {"station.json", "ca.pem"} | {f"home-assistant_{one}" for one in own}
    (bound,) = re.findall(r"^BindReadOnlyPaths=%f/nodes:(\S+)$", text, re.MULTILINE)
    assert f" --folder ${{CREDENTIALS_DIRECTORY}} --nodes {bound}\n" in text
    assert "ExecStartPre=+/bin/chmod 755 %f/nodes\n" in text, "whoever it runs as reads them"
    assert all(one.stat().st_mode & 0o444 == 0o444 for one in (commune.station / "nodes").iterdir())
    commune.broker.terminate()
    commune.broker.wait(timeout=5)
    where = ("--folder", str(given), "--nodes", str(commune.station / "nodes"))
    running = process("node.shell.station.cli", "home-assistant", "run", *where)
    assert running.stdout.readline().startswith("1 nodes in ")
    assert "does it run?" in running.stdout.readline()
    assert running.poll() is None, "a broker that is away at the start is waited for"
    running.kill()
    running.communicate()
