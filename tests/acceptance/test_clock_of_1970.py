"""A gateway without a clock chip wakes up in 1970, with a real broker that speaks TLS.

OpenSSL reads the clock of this machine, which no test may set. So the gateway comes to a listener
whose certificate begins the day after tomorrow: to it, as in 1970, that lies in the future.
"""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from node.control.trust.signature import SeedSigner
from node.shell.cli import main as node_main
from node.shell.enrol.papers import open_bundle, seal_paper
from node.shell.station import certificates
from tests.acceptance.conftest import free_port, process
from tests.acceptance.kept_records import wait_for_records

IN_1970 = """
import sys, time
from node.shell.cli import main
from node.shell.machine import RealMachine, running_on

class Woken(RealMachine):
    def utc_ns(self):
        return time.time_ns() - {now_ns} + 60_000_000_000  # a minute after the epoch
    def clock_synchronised(self):
        return False

with running_on(Woken()):
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def woken(tmp_path):
    """Run a command of the node on a machine that says 1970; return the process."""
    path = tmp_path / "woken"
    path.write_text(IN_1970.format(now_ns=time.time_ns()))
    return lambda *arguments: started(path, *arguments)


def started(path, *arguments):
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, str(path), *arguments], text=True, stdout=pipe, stderr=pipe
    )


@pytest.fixture
def early(commune, monkeypatch):
    """Port of a second listener of the same broker, whose certificate begins in two days."""
    folder, port = commune.broker_folder, free_port()
    ca = (commune.station / "ca.pem").read_bytes()
    ca_key = certificates.read_private((commune.station / "ca.key").read_bytes())
    key = certificates.read_private((folder / "broker.key").read_bytes())
    with monkeypatch.context() as later:
        later.setattr(certificates, "BEGIN", datetime.now(UTC) + timedelta(days=2))
        made = certificates.broker_identity("127.0.0.1", key.public_key(), ca, ca_key)
    (folder / "early.pem").write_bytes(made)
    conf = folder / "mosquitto.conf"
    lines = [one.replace("broker.pem", "early.pem") for one in conf.read_text().splitlines()]
    names = ("cafile", "certfile", "keyfile", "crlfile", "require_certificate", "use_identity")
    second = [one for one in lines if one.startswith(names)]
    conf.write_text(conf.read_text() + "\n".join([f"listener {port}", *second, ""]))
    commune.broker.terminate()
    commune.broker.wait(timeout=5)
    commune.start_broker()
    return port


def enrol(commune, woken, port, folder):
    """Enrol through the listener at `port`."""
    root = SeedSigner((commune.station / "offline" / "root.key").read_bytes())
    path = commune.station / "huu-lien.bundle"
    bundle = msgspec.structs.replace(open_bundle(path.read_bytes()), port=port)
    (folder / "early.bundle").write_bytes(seal_paper(bundle, root))
    where = ("--folder", str(folder), "--config", str(folder / "node.toml"), "--wait", "30")
    asking = woken("enrol", str(folder / "early.bundle"), "--name", "coc-1", *where)
    lines = []
    for line in asking.stdout:
        lines.append(line)
        if "accept " in line:
            commune.does("accept", line.split()[-1])
    out, err = asking.communicate(timeout=60)
    assert asking.returncode == 0, "".join(lines) + out + err
    config = folder / "node.toml"
    config.write_text(
        config.read_text()
        .replace(f"port = {commune.port}", f"port = {port}")
        .replace('clock = "trusted"\n', "")
    )


def test_a_node_in_1970_is_enrolled_refreshed_told_the_time_and_warns(commune, early, woken):
    commune.sound()
    folder = commune.gateway("gateway")
    enrol(commune, woken, early, folder)
    config = str(folder / "node.toml")
    assert "trusted" not in (folder / "node.toml").read_text()
    refresh = woken("refresh", "--config", config)
    said = "".join(refresh.communicate(timeout=60))
    assert "nothing new" in said, said + commune.log.read_text()[-1500:]
    node = woken("run", "--config", config, "--status", "0.5")
    try:
        assert any(": connected" in line for line in node.stderr)
        # A warning waits for no time.
        assert status_of(node)["clock_trusted"] is False
        assert commune.warn("--node", "coc-1")[0] == 0
        assert status_of(node)["clock_trusted"] is False
        office = process(
            "node.shell.station.cli", "time", "--trust-clock", "--folder", str(commune.station)
        )
        try:
            end = time.monotonic() + 25
            while not (told := status_of(node))["clock_trusted"]:
                assert time.monotonic() < end, "nobody has told it the time"
        finally:
            office.terminate()
            office.communicate(timeout=60)
        assert abs(told["utc_s"] - time.time()) < 30
        assert commune.warn("--node", "coc-1")[0] == 0
        wait_for_records(folder / "kept.db", 2)
    finally:
        node.terminate()
        node.communicate(timeout=60)
    assert node_main(["proof", "--config", config]) == 0
    lines = commune.capsys.readouterr().out.splitlines()
    assert [json.loads(one)["record"]["outcome"] for one in lines[:-1]] == ["played", "played"]


def test_a_node_that_believes_its_clock_is_not_let_to_a_broker_of_another_day(
    commune, early, woken
):
    commune.sound()
    folder = commune.gateway("gateway")
    enrol(commune, woken, early, folder)
    config = folder / "node.toml"
    config.write_text(config.read_text().replace("[control]", '[control]\nclock = "trusted"'))
    status = node_main(["refresh", "--config", str(config)])
    said = commune.capsys.readouterr().err
    assert status != 0 and "not yet valid" in said, said


def status_of(node):
    """Return what the next status says of the orders."""
    return json.loads(node.stdout.readline())["control"]
