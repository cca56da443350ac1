"""From nothing to a commune: init, a real broker, nodes that ask, a person who accepts them."""

import asyncio
import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from node.control.trust.signature import SeedSigner
from node.shell.cli import main as node_main
from node.shell.enrol.papers import Request, code_of, request_topic, seal_paper
from node.shell.poles import read_poles
from node.shell.station.certificates import new_key
from node.shell.station.cli import main as station_main
from node.shell.station.folder import Station
from node.shell.station.link import at_broker, put
from tests.acceptance.conftest import free_port, process
from tests.acceptance.test_orders_over_broker import ogg_siren

PEM, PUBLIC = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
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
        end = time.monotonic() + 5
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
        out, err = asking.communicate(timeout=30)
        assert asking.returncode == 0, out + err
        return code

    def sound(self) -> str:
        """Put a siren into the station's folder."""
        siren = ogg_siren(1.0)
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
siren_s = 1
"""
        )
        return digest

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


@pytest.fixture
def commune(tmp_path, capsys, in_ci):
    if not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        assert not in_ci, "mosquitto is missing: apt install mosquitto"
        pytest.skip("mosquitto is missing: apt install mosquitto")
    one = Commune(tmp_path, capsys)
    yield one
    one.broker.terminate()
    one.broker.wait(timeout=5)
    shutil.rmtree(one.broker_folder)


def test_a_node_that_is_accepted_gets_all_it_needs_and_warns(commune):
    begin = time.monotonic()
    digest = commune.sound()
    folder = commune.gateway("first")
    commune.enrol(folder, "coc-1", "--zone", "karst")
    first_steps, first_s = commune.steps, time.monotonic() - begin
    assert (folder / "media" / f"{digest}.opus").exists()
    assert (folder / "tls.key").stat().st_mode & 0o077 == 0
    node = commune.run(folder)
    status, told = commune.warn("--zone", "karst")
    time.sleep(2.5)  # the siren's second, and its record
    node.terminate()
    node.communicate(timeout=20)
    assert status == 0 and "coc-1: waiting" in told and "not in the list" not in told
    assert node_main(["proof", "--config", str(folder / "node.toml")]) == 0
    lines = commune.capsys.readouterr().out.splitlines()
    assert [json.loads(one)["record"]["outcome"] for one in lines[:-1]] == ["played"]
    with commune.capsys.disabled():
        print(f"\nfirst node: {first_steps} steps, {first_s:.1f} s of machine time")


def test_each_further_node_takes_two_steps_and_is_in_the_list_of_poles(commune):
    commune.sound()
    before, begin = commune.steps, time.monotonic()
    for number in range(1, 4):
        commune.enrol(commune.gateway(f"gateway-{number}"), f"coc-{number}")
    took_s = time.monotonic() - begin
    assert commune.steps - before == 2 * 3
    assert set(read_poles(commune.station / "poles.toml")) == {"coc-1", "coc-2", "coc-3"}
    with commune.capsys.disabled():
        print(f"\na further node: 2 steps, {took_s / 3:.1f} s of machine time")


def test_a_stolen_gateway_is_let_in_no_more_and_its_name_goes_to_the_next_one(commune):
    commune.sound()
    stolen, fresh = commune.gateway("stolen"), commune.gateway("fresh")
    commune.enrol(stolen, "coc-1", "--zone", "karst")
    asking, code = commune.ask(fresh, "coc-1")
    refused = commune.does("accept", code, status=2)
    assert "replace coc-1" in refused
    commune.does("replace", "coc-1")
    assert "coc-1" not in (commune.station / "poles.toml").read_text()
    commune.does("accept", code)
    asking.communicate(timeout=30)
    assert asking.returncode == 0
    assert read_poles(commune.station / "poles.toml")["coc-1"].zones == ("karst",)
    new = commune.run(fresh)
    old = process("node.shell.cli", "run", "--config", str(stolen / "node.toml"), "--duration", "3")
    _, said = old.communicate(timeout=20)
    assert ": connected" not in said
    status, told = commune.warn("--node", "coc-1")
    new.terminate()
    new.communicate(timeout=20)
    assert status == 0 and "coc-1: waiting" in told


def test_a_lost_store_enrols_again_without_the_root(commune):
    commune.sound()
    shutil.rmtree(commune.station / "offline")
    folder = commune.gateway("gateway")
    commune.enrol(folder, "coc-1")
    for name in ("kept.db", "kept.db.2"):
        (folder / name).unlink()
    commune.does("replace", "coc-1")
    commune.enrol(folder, "coc-1")
    node = commune.run(folder)
    status, told = commune.warn("--node", "coc-1")
    node.terminate()
    node.communicate(timeout=20)
    assert status == 0, told


def test_a_node_speaks_only_below_its_own_name_and_the_bundle_only_asks(commune):
    commune.sound()
    folder = commune.gateway("gateway")
    commune.enrol(folder, "coc-1")
    held = {"cafile": folder / "ca.pem", "cert": folder / "tls.pem", "key": folder / "tls.key"}
    asks = json.loads((commune.station / "huu-lien.bundle").read_text())
    assert asks["what"] == "bundle"
    office = {"cafile": folder / "ca.pem"}
    office |= {"cert": commune.station / "enrol.pem", "key": commune.station / "enrol.key"}
    root = "pa/v1/huu-lien"
    taken = (0, 0x10)  # 0x10: nobody listens (MQTT 5, 3.4.2.1)
    assert publishes(commune, held, f"{root}/node/coc-1/health") in taken
    for topic in ("node/coc-2/health", "node/coc-1/cmd", "zone/all/cmd", "grant/00", "media/00/0"):
        assert publishes(commune, held, f"{root}/{topic}") == 0x87, topic
    assert publishes(commune, office, f"{root}/enrol/00") in taken
    for topic in ("node/ENROL/cmd", "node/coc-1/cmd", "zone/all/cmd", "grant/00", "media/00/0"):
        assert publishes(commune, office, f"{root}/{topic}") == 0x87, topic
    assert "Denied PUBLISH" in commune.log.read_text()


def test_a_name_that_is_no_name_is_refused_at_the_station_too(commune):
    commune.sound()
    signer = SeedSigner(b"t" * 32)
    tls_key = new_key().public_key().public_bytes(PEM, PUBLIC).decode()
    asked = Request(
        name="../../coc", public_key=signer.public_key, tls_key=tls_key, nonce=bytes(16)
    )
    sealed = seal_paper(asked, signer)

    async def ask() -> None:
        async with at_broker(Station.open(commune.station)) as connection:
            await put(connection, request_topic("huu-lien", signer.public_key), sealed)

    asyncio.run(ask())
    assert "must be 1 to 64" in commune.does("accept", code_of(sealed), status=2)
    commune.does("accept", code_of(sealed), "--name", "coc-1")
    assert "was used for coc-1" in commune.does("accept", code_of(sealed), status=2)
    assert "none of 0 nodes" in commune.does("accept", "AAAA-AAAA-AAAA", status=1)


def publishes(commune: Commune, files: dict[str, Path], topic: str) -> int:
    """Return the broker's reason code for a message under an identity."""
    script = """
import ssl, sys, time
import paho.mqtt.client as paho
port, topic, cafile, cert, key = sys.argv[1:]
context = ssl.create_default_context(cafile=cafile)
context.load_cert_chain(cert, key)
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.tls_set_context(context)
client.on_connect = lambda *a: client.publish(topic, b"x", qos=1)
client.on_publish = lambda *a: (print(a[3].value), client.disconnect())
client.connect("127.0.0.1", int(port))
client.loop_forever()
"""
    paths = (str(files["cafile"]), str(files["cert"]), str(files["key"]))
    done = subprocess.run(
        [sys.executable, "-c", script, str(commune.port), topic, *paths],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return int(done.stdout)
