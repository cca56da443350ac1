"""The unit that ships: systemd takes it, it exposes little, and a pole is never given up."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
UNIT = PACKAGING / "loalang-node.service"
EXPOSURE_MAX = 2.5


@pytest.fixture(params=["loalang-node.service", "loalang-refresh.service"])
def unit(tmp_path, request):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt install systemd")
    copy = tmp_path / request.param
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
