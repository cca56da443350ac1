"""A station in a folder, its mosquitto, and gateways in folders of their own."""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from node.shell.cli import main as node_main
from node.shell.station.cli import main as station_main
from tests.acceptance.conftest import free_port, process
from tests.acceptance.test_orders_over_broker import ogg_siren

AREA = "vn/lang-son/huu-lien"


class Commune:
    """A station in a folder, its mosquitto, and gateways in folders of their own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.station = folder / "station"
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        self.steps = 0
        self.pid = folder / "pid"
        # Started as root mosquitto becomes a user of its own, who does not read our folders.
        self.broker_folder = Path(tempfile.mkdtemp(prefix="broker-"))
        self.broker_folder.chmod(0o755)
        self.does(
            *("init", "--area", AREA, "--broker", f"127.0.0.1:{self.port}"),
            *("--broker-folder", str(self.broker_folder)),
            *("--reload", f"sh -c 'kill -HUP $(cat {self.pid})'"),
        )
        self.log = folder / "mosquitto.log"
        self.start_broker()

    def start_broker(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        conf = self.broker_folder / "mosquitto.conf"
        with self.log.open("a") as log:
            self.broker = subprocess.Popen([program, "-c", str(conf)], stdout=log, stderr=log)
        self.pid.write_text(str(self.broker.pid))
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def does(self, *arguments: str, status: int = 0) -> str:
        """Run a command of the station; return what it said."""
        self.steps += 1
        done = station_main([*arguments, "--folder", str(self.station)])
        said = self.capsys.readouterr()
        assert done == status, said
        return said.out + said.err

    def gateway(self, name: str) -> Path:
        """A new gateway: an empty folder."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    def ask(self, folder: Path, name: str) -> tuple[subprocess.Popen[str], str]:
        """Start to enrol; return the process and the code that it shows."""
        self.steps += 1
        arguments = ("enrol", str(self.station / "huu-lien.bundle"), "--name", name)
        where = ("--folder", str(folder), "--config", str(folder / "node.toml"), "--wait", "60")
        asking = process("node.shell.cli", *arguments, *where)
        assert asking.stdout is not None
        for line in asking.stdout:
            if found := re.search(r"accept ([A-Z2-7-]{14})$", line):
                return asking, found[1]
        raise AssertionError(asking.communicate())

    def enrol(self, folder: Path, name: str, *more: str) -> str:
        asking, code = self.ask(folder, name)
        self.does("accept", code, *more)
        out, err = asking.communicate(timeout=60)
        assert asking.returncode == 0, out + err
        return code

    def sound(self, seconds: int = 1) -> str:
        """Put a siren into the station's folder."""
        siren = ogg_siren(float(seconds))
        digest = hashlib.sha256(siren).hexdigest()
        (self.station / "media" / f"{digest}.opus").write_bytes(siren)
        (self.station / "node.toml").write_text(
            f"""
[opus]
decoder = "libopus"
[receive]
listen = "127.0.0.1:{free_port()}"
[sink]
kind = "null"
[control]
clock = "trusted"
rules = []
[control.alert]
interval_s = 0
repeat = {{ normal = 1, priority = 1, urgent = 1 }}
[control.alert.phrases.any]
siren = "{digest}"
siren_s = {seconds}
"""
        )
        return digest

    def broker_lets_in(self, folder: Path) -> bool:
        """Return whether the broker takes the identity that a gateway has."""
        node_main(["doctor", "--config", str(folder / "node.toml"), "--json"])
        found = json.loads(self.capsys.readouterr().out)
        return any(one["part"] == "broker" and one["grade"] == "good" for one in found)

    def warn(self, *to: str) -> tuple[int, str]:
        """Sign a warning with the commune's key and publish it under the office's identity."""
        order = self.folder / "order.bin"
        key = str(self.station / "commune.key")
        about = ("--event", "FFW", "--area", AREA, "--key", key, "--out", str(order))
        assert node_main(["order", "alert", *about]) == 0
        self.capsys.readouterr()
        files = {"ca": "ca.pem", "certificate": "office.pem", "key": "office.key"}
        tls = [x for k, v in files.items() for x in (f"--{k}-file", str(self.station / v))]
        poles = ("--poles", str(self.station / "poles.toml"), "--wait", "5")
        where = ("--broker", f"127.0.0.1:{self.port}", "--village", "huu-lien")
        status = node_main(["publish", str(order), *where, *to, *tls, *poles])
        said = self.capsys.readouterr()
        return status, said.out + said.err

    def run(self, folder: Path) -> "subprocess.Popen[str]":
        """Start an enrolled node and wait until the broker has it."""
        one = process("node.shell.cli", "run", "--config", str(folder / "node.toml"))
        assert one.stderr is not None
        seen = []
        for line in one.stderr:
            seen.append(line)
            if ": connected" in line:
                return one
        raise AssertionError("".join(seen))
