"""From nothing to a commune: init, a real broker, nodes that ask, a person who accepts them."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from node.control.trust.signature import SeedSigner
from node.shell.cli import main as node_main
from node.shell.enrol.papers import Request, code_of, request_topic, seal_paper
from node.shell.poles.pole_list import read_poles
from node.shell.station.certificates import new_key
from node.shell.station.folder import Station
from node.shell.station.link import at_broker, put
from tests.acceptance.commune import Commune
from tests.acceptance.kept_records import wait_for_records

PEM, PUBLIC = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


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
    wait_for_records(folder / "kept.db", 1)
    node.terminate()
    node.communicate(timeout=60)
    assert status == 0 and "coc-1: waiting" in told and "not in the list" not in told
    assert node_main(["proof", "--config", str(folder / "node.toml")]) == 0
    lines = commune.capsys.readouterr().out.splitlines()
    (record,) = (json.loads(one)["record"] for one in lines[:-1])
    assert (record["outcome"], record["heard_by"]) == ("played", "nothing"), "the sink is null"
    with commune.capsys.disabled():
        print(f"\nfirst node: {first_steps} steps, {first_s:.1f} s of machine time")


def test_ten_nodes_that_ask_at_once_take_two_steps_each_and_ten_minutes(commune):
    commune.sound()
    names = [f"coc-{number}" for number in range(1, 11)]
    before, begin = commune.steps, time.monotonic()
    asked = [commune.ask(commune.gateway(name), name) for name in names]
    for _, code in reversed(asked):
        commune.does("accept", code)
    for asking, _ in asked:
        out, err = asking.communicate(timeout=120)
        assert asking.returncode == 0, out + err
    took_s = time.monotonic() - begin
    assert commune.steps - before == 2 * len(names)
    assert set(read_poles(commune.station / "poles.toml")) == set(names)
    assert took_s <= 600
    with commune.capsys.disabled():
        print(f"\na further node: 2 steps, {took_s / len(names):.1f} s of machine time")


def test_a_stolen_gateway_is_let_in_no_more_and_its_name_goes_to_the_next_one(commune):
    commune.sound()
    stolen, fresh = commune.gateway("stolen"), commune.gateway("fresh")
    commune.enrol(stolen, "coc-1", "--zone", "karst")
    asking, code = commune.ask(fresh, "coc-1")
    refused = commune.does("accept", code, status=2)
    assert "replace coc-1" in refused
    assert commune.broker_lets_in(stolen)
    commune.does("replace", "coc-1")
    assert not commune.broker_lets_in(stolen)
    assert "coc-1" not in (commune.station / "poles.toml").read_text()
    commune.does("accept", code)
    asking.communicate(timeout=60)
    assert asking.returncode == 0
    assert read_poles(commune.station / "poles.toml")["coc-1"].zones == ("karst",)
    new = commune.run(fresh)
    assert commune.broker_lets_in(fresh) and not commune.broker_lets_in(stolen)
    status, told = commune.warn("--node", "coc-1")
    new.terminate()
    new.communicate(timeout=60)
    assert status == 0 and "coc-1: waiting" in told


def test_what_root_enrols_belongs_to_the_user_of_the_node(commune):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    commune.sound()
    folder = commune.gateway("gateway")
    os.chown(folder, 12_345, 12_345)
    commune.enrol(folder, "coc-1")
    found = [one for one in folder.rglob("*") if not one.name.endswith(".partial")]
    assert len(found) >= 8
    assert [one.name for one in found if one.stat().st_uid != 12_345] == []


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
    node.communicate(timeout=60)
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
