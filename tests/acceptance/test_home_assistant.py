"""Home Assistant's account wishes at a real broker, and a real node sounds, or says why not."""

import json
import queue
import signal
import subprocess
import threading
import time

import pytest

from node.shell.broker.mqtt import RECONNECT_S
from tests.acceptance.conftest import need, process
from tests.acceptance.test_enrol import publishes

VILLAGE = "huu-lien"
ROOT = f"assistant/v1/{VILLAGE}"


class Home:
    """What Home Assistant does at the broker, by mosquitto's own clients."""

    def __init__(self, commune):
        self.commune = commune
        self.held = commune.station / "home-assistant-login"
        self.seen = {}
        self.told = queue.Queue()
        topics = ("homeassistant/#", f"{ROOT}/#", f"pa/v1/{VILLAGE}/node/+/state")
        options = [x for one in topics for x in ("-t", one)]
        self.hears = self._client("mosquitto_sub", "-v", *options)
        threading.Thread(target=self._hear, daemon=True).start()

    def _client(self, program, *options, held=None):
        folder = held or self.held
        files = {"--cafile": "ca.pem", "--cert": "client.pem", "--key": "client.key"}
        named = [x for option, file in files.items() for x in (option, str(folder / file))]
        where = ("-h", "127.0.0.1", "-p", str(self.commune.port), "-V", "5", "-q", "1")
        return subprocess.Popen(
            [need(program, "mosquitto-clients"), *where, *named, *options],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _hear(self):
        for line in self.hears.stdout:
            topic, _, payload = line.rstrip("\n").partition(" ")
            self.told.put((topic, payload))

    def wishes(self, thing, payload, *, name="coc-1"):
        one = self._client("mosquitto_pub", "-t", f"{ROOT}/{name}/{thing}/set", "-m", payload)
        out, err = one.communicate(timeout=60)
        return out + err

    def until(self, name, fits, wait_s=20.0):
        """Return what is told of a topic once it fits, and after how long."""
        begin = time.monotonic()
        topic = name if name.startswith("pa/") else f"{ROOT}/{name}"
        while not (topic in self.seen and fits(self.seen[topic])):
            left_s = begin + wait_s - time.monotonic()
            assert left_s > 0, (topic, self.seen.get(topic))
            try:
                heard, payload = self.told.get(timeout=min(left_s, 0.2))
            except queue.Empty:
                continue
            self.seen[heard] = json.loads(payload) if payload.startswith("{") else payload
        return self.seen[topic], time.monotonic() - begin

    def is_offered(self, topic, wait_s=5.0):
        """Return whether something is retained under a topic, and in what time."""
        begin = time.monotonic()
        one = self._client("mosquitto_sub", "-t", topic, "-C", "1", "-W", str(round(wait_s)))
        out, _ = one.communicate(timeout=2 * wait_s)
        return bool(out.strip()), time.monotonic() - begin

    def close(self):
        if self.hears.poll() is None:
            self.hears.kill()
        self.hears.communicate()


def started(commune):
    """Start the bridge and wait until it has offered all."""
    options = ("home-assistant", "run", "--folder", str(commune.station))
    running = process("node.shell.station.cli", *options)
    for line in running.stdout:
        if line == "offered\n":
            return running
    raise AssertionError(running.communicate())


@pytest.fixture
def bridge(commune):
    """A commune with a node that runs, and the bridge."""
    need("mosquitto_pub", "mosquitto-clients")
    commune.sound(25)
    commune.folder_of_node = commune.gateway("first")
    commune.enrol(commune.folder_of_node, "coc-1")
    commune.node = commune.run(commune.folder_of_node)
    assert "1 nodes in vn/lang-son/huu-lien" in commune.does("home-assistant", "enable")
    commune.bridge = started(commune)
    commune.home = Home(commune)
    commune.home.until("state", lambda told: told == "online")
    yield commune
    commune.home.close()
    for one in (commune.bridge, commune.node):
        if one.poll() is None:
            one.kill()
        one.communicate(timeout=60)


NODE_STATE = f"pa/v1/{VILLAGE}/node/coc-1/state"


def is_on(told):
    return told["state"] == "ON"


def is_off(told):
    return told["state"] == "OFF"


def test_a_wish_sounds_the_siren_of_a_real_node_until_it_has_played_or_is_ended(bridge, capsys):
    home = bridge.home
    assert home.wishes("siren", '{"state": "ON", "tone": "any", "duration": 60}') == ""
    told, on_s = home.until("coc-1/siren", is_on)
    assert told["fate"] == "sounds" and on_s < 10
    told, _ = home.until("coc-1/siren", is_off, wait_s=40)
    assert told["fate"] == "played", "the record that the node signed says so"
    home.until("ALL/siren", is_off)
    home.wishes("siren", "ON", name="ALL")
    home.until("ALL/siren", is_on)
    home.wishes("siren", "OFF", name="ALL")
    told, off_s = home.until("coc-1/siren", is_off)
    assert told["fate"] == "cancelled" and off_s < 5
    home.wishes("volume", "35")
    told, _ = home.until("coc-1/volume", lambda told: told["volume"] == 35)
    assert told["fate"] == "set"
    with capsys.disabled():
        print(f"\nwish to ON {on_s:.1f} s, to OFF {off_s:.1f} s")


def test_the_broker_lets_nobody_else_wish_and_home_assistant_do_nothing_else(bridge):
    node = {"cafile": "ca.pem", "cert": "tls.pem", "key": "tls.key"}
    node = {option: bridge.folder_of_node / file for option, file in node.items()}
    kept = {"cafile": bridge.station / "ca.pem"}
    office = kept | {"cert": bridge.station / "office.pem", "key": bridge.station / "office.key"}
    asks = kept | {"cert": bridge.station / "enrol.pem", "key": bridge.station / "enrol.key"}
    login, own = bridge.station / "home-assistant-login", bridge.station / "home-assistant"
    home = kept | {"cert": login / "client.pem", "key": login / "client.key"}
    itself = kept | {"cert": own / "bridge.pem", "key": own / "bridge.key"}
    wish = f"{ROOT}/coc-1/siren/set"
    for who in (node, office, asks, itself):
        assert publishes(bridge, who, wish) == 0x87
    assert publishes(bridge, home, wish) == 0
    told, _ = bridge.home.until("coc-1/siren", lambda told: told["dropped"] == 1)
    assert told["fate"] == "nothing ordered", "x is no wish"
    for topic in (
        f"{ROOT}/coc-1/siren", f"{ROOT}/state", "homeassistant/siren/coc-1/siren/config",
        f"pa/v1/{VILLAGE}/node/coc-1/cmd", f"pa/v1/{VILLAGE}/zone/all/cmd",
    ):  # fmt: skip
        assert publishes(bridge, home, topic) == 0x87, topic
    assert publishes(bridge, node, "homeassistant/siren/coc-1/siren/config") == 0x87
    assert "Denied PUBLISH" in bridge.log.read_text()


def test_a_node_that_hangs_is_named_and_a_bridge_that_dies_is_gone(bridge, capsys):
    home = bridge.home
    bridge.node.send_signal(signal.SIGSTOP)
    home.wishes("siren", "ON")
    told, took_s = home.until("coc-1/siren", lambda told: told["fate"] == "no answer")
    assert is_off(told) and took_s <= 10
    bridge.node.send_signal(signal.SIGCONT)
    told, _ = home.until("coc-1/siren", is_on)  # within its time to live: it is told as it is
    bridge.bridge.kill()
    bridge.bridge.communicate()
    home.until("state", lambda told: told == "offline", wait_s=5)
    with capsys.disabled():
        print(f"\nnamed after {took_s:.1f} s")


def test_a_bridge_that_is_started_anew_takes_up_a_siren_that_sounds_and_ends_it(bridge):
    bridge.home.wishes("siren", "ON")
    bridge.home.until("coc-1/siren", is_on)
    bridge.bridge.kill()
    bridge.bridge.communicate()
    bridge.bridge = started(bridge)
    bridge.home.until("coc-1/siren", is_off)
    bridge.home.until("coc-1/siren", is_on)
    bridge.home.wishes("siren", "OFF")
    told, _ = bridge.home.until("coc-1/siren", is_off, wait_s=5)
    assert told["fate"] == "cancelled"


def test_a_broker_that_comes_back_finds_the_bridge_again(bridge, capsys):
    bridge.broker.kill()
    bridge.broker.wait()
    bridge.home.close()
    time.sleep(1)
    bridge.start_broker()
    begin = time.monotonic()
    bridge.home = Home(bridge)
    bridge.home.until("state", lambda told: told == "online")
    took_s = time.monotonic() - begin
    bridge.home.until(NODE_STATE, lambda told: told["state"] == "ready")
    bridge.home.wishes("siren", "ON")
    bridge.home.until("coc-1/siren", is_on)
    with capsys.disabled():
        print(f"\nback after {took_s:.1f} s")


def test_a_broker_that_refuses_the_bridge_is_tried_in_peace_and_why_is_said_once(bridge, capsys):
    acl = bridge.broker_folder / "acl"
    allowed = acl.read_text()
    acl.write_text(allowed.replace("topic write homeassistant/siren/", "topic write nowhere/"))
    bridge.broker.kill()
    bridge.broker.wait()
    bridge.home.close()
    bridge.start_broker()
    came = "as home-assistant-huu-lien"
    before = bridge.log.read_text().count(came)
    time.sleep(15)
    tried = bridge.log.read_text().count(came) - before
    acl.write_text(allowed)
    bridge.broker.send_signal(signal.SIGHUP)
    begin, lines = time.monotonic(), []
    while not lines or lines[-1] != "offered\n":
        lines.append(bridge.bridge.stdout.readline())
    took_s = time.monotonic() - begin
    assert RECONNECT_S == (1.0, 5.0) and 2 <= tried <= 15 and took_s < RECONNECT_S[1] + 2
    assert sum("the broker refuses homeassistant/siren/" in one for one in lines) == 1
    assert len(lines) <= 4, "gone, is away, refuses, offered"
    bridge.home = Home(bridge)
    bridge.home.until("state", lambda told: told == "online")
    with capsys.disabled():
        print(f"\ntried {tried} times in 15 s, {len(lines) - 1} lines, back after {took_s:.1f} s")


def test_a_node_that_is_not_there_is_named_at_once(bridge):
    bridge.node.terminate()
    bridge.node.communicate(timeout=60)
    bridge.home.until(NODE_STATE, lambda told: told["state"] == "stopped")
    bridge.broker.kill()
    bridge.broker.wait()
    bridge.home.close()
    bridge.start_broker()  # which has forgotten its session
    bridge.home = Home(bridge)
    bridge.home.until("state", lambda told: told == "online")
    bridge.home.wishes("siren", "ON")
    told, took_s = bridge.home.until("coc-1/siren", lambda told: told["fate"] == "not given")
    assert took_s < 3 and "not at the broker" in told["reason"]


def test_a_node_that_is_accepted_later_sounds_and_one_that_is_taken_back_is_offered_no_more(
    bridge, capsys
):
    home = bridge.home
    bridge.sound(25)  # with a port of its own
    later = bridge.gateway("later")
    bridge.enrol(later, "coc-2")
    config = "homeassistant/siren/coc-2/siren/config"
    is_there, took_s = home.is_offered(config)
    assert is_there, "no restart"
    node = bridge.run(later)
    try:
        home.until(f"pa/v1/{VILLAGE}/node/coc-2/state", lambda told: told["state"] == "ready")
        home.wishes("siren", "ON", name="coc-2")
        home.until("coc-2/siren", is_on)
        assert is_off(home.seen[f"{ROOT}/coc-1/siren"])
        home.wishes("siren", "OFF", name="coc-2")
        home.until("coc-2/siren", is_off)
    finally:
        node.kill()
        node.communicate(timeout=60)
    bridge.does("replace", "coc-2")
    home.until("coc-2/siren", lambda told: told in ("", "(null)"), wait_s=8)
    assert not home.is_offered(config, wait_s=1.0)[0]
    assert bridge.bridge.poll() is None
    with capsys.disabled():
        print(f"\noffered {took_s:.1f} s after it had its papers")


def test_what_was_taken_back_orders_nothing_and_is_offered_no_more(bridge):
    home = bridge.home
    assert "its key is revoked" in bridge.does("home-assistant", "disable")
    home.until("state", lambda told: told in ("", "(null)"))
    assert not (bridge.station / "home-assistant").exists()
    assert "assistant/v1" not in (bridge.broker_folder / "acl").read_text()
    bridge.broker.kill()
    bridge.broker.wait()
    bridge.start_broker()
    assert bridge.bridge.wait(timeout=20) == 2, "a person is needed"
    assert home.wishes("siren", "ON") != "", "its identity is let in no more"
    home.close()
    bridge.bridge.communicate()
    assert "enable" in bridge.does("home-assistant", "run", status=2)
    assert any(": connected" in line for line in bridge.node.stderr), "the node is back"
    bridge.does("home-assistant", "enable")
    bridge.bridge = started(bridge)
    bridge.home = Home(bridge)
    bridge.home.until(NODE_STATE, lambda told: told["state"] == "ready")
    bridge.home.wishes("siren", "ON")
    bridge.home.until("coc-1/siren", is_on)
