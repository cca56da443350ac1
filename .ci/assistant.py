"""Home Assistant's own MQTT beside a real broker and a node: .ci/home_assistant starts it.

What the node announces goes through the schema that Home Assistant publishes in its code, once as
it takes it from a broker (which drops a field that it does not know) and once as it takes it from
a file (which refuses that); then its entities are compared with what the node is doing. At the end
wrong payloads are planted: each must be refused, with its field.

Then a station lets Home Assistant in (`loalang-station home-assistant enable`): it comes by the
files made for it, through the station's own broker, and by its siren and number an enrolled node
sounds, falls silent and is as loud as it says. The status is 1 when one thing is not as it must be.
"""

import asyncio
import importlib
import json
import logging
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import voluptuous
from assisted import NAME, PREFIX, VILLAGE, Node, Station, free_port, there
from homeassistant import config_entries, const, loader
from homeassistant.components import mqtt
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    area_registry,
    device_registry,
    entity,
    entity_registry,
    issue_registry,
    restore_state,
    template,
    translation,
)

TELLS_S = 75
"""A node tells of itself once a minute."""

LATER = {"options": "2024.9", "default_entity_id": "2025.10"}
"""What we announce and only a later release than this one knows; this one must drop it in peace."""

# What is planted: (component, what is changed, the word that the refusal must have)
WRONG = (
    ("sensor", {"state_class": "mesurement"}, "state_class"),
    ("sensor", {"device_class": "loudness"}, "device_class"),
    ("binary_sensor", {"state_topic": "pa/#/state"}, "state_topic"),
    ("update", {"value_template": "{{ value_json.state"}, "value_template"),
    ("sensor", {"unit_of_measure": "s"}, "unit_of_measure"),
    ("binary_sensor", {"device": {"name": "coc-1"}}, "device"),
)


class Said(logging.Handler):
    """Warnings and errors of Home Assistant."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one; but not of the platforms for cameras and images, which need its web server."""
        if record.name != "homeassistant.setup":
            self.lines.append(record.getMessage())


async def begun(folder: Path, broker_port: int, login: Path | None = None) -> HomeAssistant:
    """Start the core of Home Assistant, without a web server, and its MQTT, by files of a login."""
    data = {"broker": "127.0.0.1", "port": broker_port}
    if login is not None:
        files = {"certificate": "ca.pem", "client_cert": "client.pem", "client_key": "client.key"}
        data |= {one: (login / file).read_text() for one, file in files.items()}
    home = HomeAssistant(str(folder))
    (folder / "configuration.yaml").touch()
    home.config.skip_pip = True
    home.config_entries = config_entries.ConfigEntries(home, {})
    for part in (loader, template, entity, translation):
        part.async_setup(home)
    registries = (area_registry, device_registry, entity_registry, issue_registry, restore_state)
    for one in registries:
        await one.async_load(home)
    await home.config_entries.async_initialize()
    home.config.components.update(("http", "file_upload", "websocket_api"))
    await home.async_start()
    entry = config_entries.ConfigEntry(
        version=1,
        minor_version=2,
        domain="mqtt",
        title="broker",
        data=data,
        source=config_entries.SOURCE_USER,
    )
    await home.config_entries.async_add(entry)
    if entry.state is not config_entries.ConfigEntryState.LOADED:
        raise SystemExit(f"assistant.py: its MQTT did not start: {entry.state}: {entry.reason}")
    return home


def refusals(component: str, payload: str) -> list[str]:
    """Return what the schemas of Home Assistant have against a payload."""
    try:
        part = importlib.import_module(f"homeassistant.components.mqtt.{component}")
    except ImportError:
        return [f"no such component: {component}"]
    found, body = [], json.loads(payload)
    known = {one: value for one, value in body.items() if one not in LATER}
    for schema, given in ((part.DISCOVERY_SCHEMA, body), (part.PLATFORM_SCHEMA_MODERN, known)):
        try:
            schema(given)
        except voluptuous.Invalid as fault:
            found.append(str(fault))
    return found


class Watch:
    """What was asked beside what Home Assistant shows."""

    def __init__(self, home: HomeAssistant, said: Said) -> None:
        self.faults = 0
        self._home = home
        self._said = said
        self._payloads: dict[str, str] = {}

    async def begin(self) -> None:
        """Listen to what is announced."""
        await mqtt.async_subscribe(self._home, f"{PREFIX}/#", self._note)

    def _note(self, message: mqtt.ReceiveMessage) -> None:
        if message.topic.endswith("/config"):
            self._payloads[message.topic] = str(message.payload)

    def tell(self, what: str, seen: object, *, good: bool) -> None:
        """Print a row."""
        self.faults += not good
        print(f"{'' if good else '** '}{what}: {seen}", flush=True)

    def entity(self, thing: str) -> str:
        """Return under which name Home Assistant has one thing of the node, or of `all_`."""
        of_node = f"{NAME}_{thing}"
        key = f"loalang_{VILLAGE}_" + (thing[4:] if thing.startswith("all_") else of_node)
        registry = entity_registry.async_get(self._home)
        for component in ("sensor", "binary_sensor", "update", "siren", "number"):
            if found := registry.async_get_entity_id(component, "mqtt", key):
                return found
        return "none"

    def shown(self, thing: str) -> str:
        """Return what Home Assistant shows of one thing."""
        state = self._home.states.get(self.entity(thing))
        return "none" if state is None else state.state

    async def press(self, service: str, thing: str, **more: object) -> None:
        """Do what somebody does by a button of Home Assistant."""
        domain, _, name = service.partition(".")
        data = {"entity_id": self.entity(thing), **more}
        await self._home.services.async_call(domain, name, data, blocking=True)

    async def expect(self, when: str, wait_s: float = 20, **wanted: str) -> None:
        """Wait until things are shown so."""
        end = self._home.loop.time() + wait_s
        while (seen := {one: self.shown(one) for one in wanted}) != wanted:
            if self._home.loop.time() > end:
                break
            await asyncio.sleep(0.1)
        good = seen == wanted
        told = ", ".join(f"{one} {word}" for one, word in seen.items())
        self.tell(when, told + ("" if good else f"; wanted {wanted}"), good=good)

    def judge(self, least: int = 8) -> None:
        """Put all that was announced through the schemas."""
        for topic, payload in sorted(self._payloads.items()):
            found = refusals(topic.split("/")[1], payload)
            self.tell(topic, "; ".join(found) or "taken", good=not found)
        count = len(self._payloads)
        self.tell("announced", f"{count} entities", good=count >= least)

    def silent(self) -> None:
        """Tell whether Home Assistant had anything to say."""
        self.tell("its log", "; ".join(self._said.lines) or "nothing", good=not self._said.lines)

    async def plant(self) -> None:
        """Announce what is wrong: schema or log must name the field."""
        first = {topic.split("/")[1]: topic for topic in sorted(self._payloads)}
        for number, (component, change, word) in enumerate(WRONG):
            self._said.lines.clear()
            body = json.loads(self._payloads[first[component]]) | change
            body["unique_id"] = f"planted_{number}"
            payload = json.dumps(body)
            topic = f"{PREFIX}/{component}/{NAME}/planted_{number}/config"
            await mqtt.async_publish(self._home, topic, payload)
            await asyncio.sleep(1)
            named = [one for one in refusals(component, payload) if word in one]
            logged = any(word in one for one in self._said.lines)
            how = "by schema and log" if logged else "by the strict schema, dropped in silence else"
            self.tell(f"planted {component} {change}", f"refused {how}", good=bool(named))
            if not named:
                print(f"   not refused: {self._said.lines}")


async def compared(python: str, folder: Path, broker_port: int) -> int:
    """Run node and Home Assistant, compare them; return the exit status."""
    said = Said()
    logging.getLogger().addHandler(said)
    home = await begun(folder, broker_port)
    print(f"Home Assistant {const.__version__}")
    watch, node = Watch(home, said), Node(python, folder, broker_port)
    try:
        await watch.begin()
        node.hear()
        node.run()
        await watch.expect("a node that is ready", 60, state="ready", problem="off", version="off")
        await watch.expect("its sound", TELLS_S, playing="on", streams="1", underruns="0")
        watch.judge()
        up = watch.shown("uptime")
        watch.tell("it runs for", f"{up} s", good=up.isdecimal() and 0 < int(up) <= 2 * TELLS_S)
        await node.end(signal.SIGTERM)
        await watch.expect("an orderly end", state="stopped", problem="on", playing="unavailable")
        node.run()
        await watch.expect("started again", 60, state="ready", problem="off")
        await node.end(signal.SIGKILL)
        await watch.expect("kill -9", state="lost", problem="on", streams="unavailable")
        watch.silent()
        await watch.plant()
    finally:
        await node.close()
        await home.async_stop(force=True)
    return min(watch.faults, 1)


async def sounded(station: Station) -> int:
    """Sound a node by Home Assistant; return the exit status."""
    said = Said()
    logging.getLogger().addHandler(said)
    try:
        home = await begun(
            station.folder.parent, station.port, station.folder / "home-assistant-login"
        )
        watch = Watch(home, said)
        await watch.begin()
        await watch.expect("a siren that is silent", 60, siren="off", all_siren="off")
        watch.judge(12)
        await watch.press("siren.turn_on", "siren", tone="any", duration=60)
        await watch.expect("turned on", siren="on", all_siren="on")
        await watch.press("siren.turn_off", "siren")
        await watch.expect("turned off", siren="off", all_siren="off")
        await watch.press("number.set_value", "volume", value=35)
        await watch.expect("a volume", volume="35", all_volume="35")
        await watch.press("siren.turn_on", "all_siren", volume_level=0.6)
        await watch.expect("the commune, louder", siren="on", all_siren="on", volume="60")
        await watch.press("siren.turn_off", "all_siren")
        await watch.expect("its end", siren="off", all_siren="off")
        await station.end()
        await watch.expect("no bridge", siren="unavailable", all_siren="unavailable")
        station.bridge()
        await watch.expect("a bridge again", siren="off", volume="unknown")
        watch.silent()
        await home.async_stop(force=True)
    finally:
        await station.close()
    return min(watch.faults, 1)


def main() -> int:
    """Start a broker, and compare; return the exit status."""
    port = free_port(socket.SOCK_STREAM)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        broker = subprocess.Popen(["mosquitto", "-c", config], env=there(), **quiet)
        try:
            status = asyncio.run(compared(sys.argv[1], Path(folder), port))
        finally:
            broker.terminate()
            broker.wait(10)
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # where Home Assistant keeps the files of its login
        station = Station(sys.argv[1], Path(folder))
        station.does("home-assistant", "enable")
        station.enrol()
        station.bridge()
        return max(status, asyncio.run(sounded(station)))


if __name__ == "__main__":
    sys.exit(main())
