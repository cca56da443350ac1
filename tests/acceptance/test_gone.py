"""The way between a node and its broker is cut, and nobody is told: both know within 10 s.

```
 mosquitto, watch 203.0.113.1 ── veth ── 203.0.113.2 node          nft drops whatever comes
```
Needs root, iproute2, nftables and mosquitto.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from .conftest import need, process

NODE = """
    import asyncio, json, time
    from node.shell.broker.mqtt import MqttLink
    from node.shell.config import MqttConfig
    link = MqttLink("coc-1", MqttConfig(host="203.0.113.1", village="x"), session=7)
    link.told = lambda name, text: print(json.dumps([time.monotonic(), name, text]), flush=True)
    asyncio.run(link.run(lambda topic, payload: None))
"""
WATCH = """
    import asyncio, json, time
    from node.shell.broker.connection import Login
    from node.shell.broker.paho_connection import connect
    from node.shell.station.watch import Watch, serve
    async def main():
        one = await connect(Login(host="127.0.0.1", port=1883, identifier="watch"))
        tell = lambda text: print(json.dumps([time.monotonic(), text]), flush=True)
        tell("watches")
        await serve("pa/v1/x/node", one, Watch([], time.monotonic()), end_s=None, tell=tell)
    asyncio.run(main())
"""


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True)


@pytest.fixture
def places():
    """Two namespaces and a wire; skips where that cannot be made."""
    for program, package in (("ip", "iproute2"), ("nft", "nftables"), ("mosquitto", "mosquitto")):
        need(program, package)
    station, node = (f"loagone{os.getpid()}{one}" for one in "sn")
    try:
        try:
            for name in (station, node):
                ip("netns", "add", name)
        except subprocess.CalledProcessError as fault:
            pytest.skip(f"namespaces cannot be made here: {fault.stderr.strip()}")
        ip("link", "add", "s0", "netns", station, "type", "veth", "peer", "n0", "netns", node)
        for name, device, address in ((station, "s0", 1), (node, "n0", 2)):
            ip("-n", name, "addr", "add", f"203.0.113.{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield station, node
    finally:
        for name in (station, node):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def inside(name, *command, **more):
    return subprocess.Popen(["ip", "netns", "exec", name, *command], text=True, **more)


def lines(process):
    return (json.loads(line) for line in process.stdout)


def test_who_is_cut_off_without_a_word_is_told_and_knows_within_ten_seconds(places, tmp_path):
    station, node = places
    config = tmp_path / "mosquitto.conf"
    config.write_text("listener 1883 0.0.0.0\nallow_anonymous true\n")
    broker = inside(station, shutil.which("mosquitto"), "-c", str(config), stderr=-3)
    python = (sys.executable, "-c")
    running = [broker]
    try:
        time.sleep(1)
        watch = inside(station, *python, textwrap.dedent(WATCH), stdout=-1)
        pole = inside(node, *python, textwrap.dedent(NODE), stdout=-1)
        running += [watch, pole]
        seen, told = lines(watch), lines(pole)
        assert next(seen)[1] == "watches"
        next(one for one in told if one[1:] == ["broker", None])
        time.sleep(13)
        cut = "table inet cut { chain in { type filter hook input priority 0; "
        subprocess.run(
            ["ip", "netns", "exec", station, "nft", "-f", "-"],
            input=cut + 'iifname "s0" drop; }; }', text=True, check=True,
        )  # fmt: skip
        cut_s = time.monotonic()
        lost_s, text = next(seen)
        assert text.startswith("coc-1: lost") and lost_s - cut_s <= 10, (text, lost_s - cut_s)
        known_s, _, why = next(one for one in told if one[1] == "broker")
        assert why and known_s - cut_s <= 10, (why, known_s - cut_s)
        print(f"told {lost_s - cut_s:.1f} s after the cut, known {known_s - cut_s:.1f} s")
        subprocess.run(["ip", "netns", "exec", station, "nft", "flush", "ruleset"], check=True)
        assert next(seen)[1] == "coc-1: is back"
    finally:
        for one in running:
            one.terminate()
            one.wait(timeout=10)
            if one.stdout is not None:
                one.stdout.close()


def test_the_station_watches_its_commune_and_a_node_that_stands_still_is_lost(commune):
    """Under TLS and the ACL that `init` wrote; the node's connection stays open."""
    commune.sound()
    folder = commune.gateway("gateway")
    commune.enrol(folder, "coc-1")
    node = commune.run(folder)
    watch = process(
        "node.shell.station.cli", "watch", "--folder", str(commune.station), "--wait", "20"
    )
    try:
        assert watch.stdout.readline() == "watches the nodes\n"
        node.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        assert watch.stdout.readline().startswith("coc-1: lost, nothing heard for 9.6 s")
        assert time.monotonic() - stopped_s <= 10.5, "a word waits for its reader a little"
        assert watch.wait(timeout=30) == 1, "somebody is lost"
    finally:
        node.send_signal(signal.SIGCONT)
        for one in (node, watch):
            one.terminate()
            one.communicate(timeout=60)
