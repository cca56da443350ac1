"""What Home Assistant is told fits its documentation, and its templates read what the node says.

Its own code says so too, each night: .ci/home_assistant.
"""

import json
import re

import jinja2
import pytest

from node.shell.broker.home_assistant import discovery
from node.shell.health import Health
from node.shell.station.assistant.entities import ALL, announced, config_topic
from node.shell.vitals import Vitals

ROOT = "pa/v1/huu-lien/node/coc-1"
FOUND = discovery("homeassistant", ROOT, "coc-1", "0.1.0")

TONES = ("any", "FFW")
OFFERED = announced("huu-lien", "coc-1", TONES) | announced("huu-lien", ALL, TONES)

# Of https://www.home-assistant.io/integrations/{sensor,binary_sensor,update,siren,number}.mqtt
COMMON = {
    "availability", "availability_mode", "availability_template", "availability_topic", "device",
    "default_entity_id", "enabled_by_default", "encoding", "entity_category", "icon",
    "json_attributes_template", "json_attributes_topic", "name", "payload_available",
    "payload_not_available", "qos", "state_topic", "unique_id", "value_template", "device_class",
}  # fmt: skip
ALLOWED = {
    "sensor": COMMON | {"expire_after", "force_update", "last_reset_value_template", "options",
                        "state_class", "suggested_display_precision", "unit_of_measurement"},
    "binary_sensor": COMMON | {"expire_after", "force_update", "off_delay", "payload_off",
                               "payload_on"},
    "update": COMMON | {"command_topic", "entity_picture", "latest_version_template",
                        "latest_version_topic", "payload_install", "release_summary",
                        "release_url", "retain", "title"},
    "siren": COMMON - {"value_template"}
             | {"available_tones", "command_off_template", "command_template", "command_topic",
                "optimistic", "payload_off", "payload_on", "retain", "state_off", "state_on",
                "state_value_template", "support_duration", "support_volume_set"},
    "number": COMMON | {"command_template", "command_topic", "max", "min", "mode", "optimistic",
                        "payload_reset", "retain", "step", "unit_of_measurement"},
}  # fmt: skip
DEVICE = {
    "configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model",
    "name", "suggested_area", "sw_version", "via_device",
}  # fmt: skip


def configs():
    return [(topic, json.loads(payload)) for topic, payload in FOUND.items()]


def test_topics_and_fields_are_those_of_the_documentation():
    for topic, config in configs():
        prefix, component, node, thing, last = topic.split("/")
        assert (prefix, node, last) == ("homeassistant", "coc-1", "config")
        assert set(config) <= ALLOWED[component], thing
        assert set(config["device"]) <= DEVICE and config["device"]["identifiers"]
        assert config["state_topic"] in (f"{ROOT}/state", f"{ROOT}/health")
        if config.get("device_class") == "enum":
            assert config["options"] and "state_class" not in config
        domain, _, own = config["default_entity_id"].partition(".")
        assert domain == component and re.fullmatch("[a-z0-9_]+", own)
    names = [config["unique_id"] for _, config in configs()]
    assert len(set(names)) == len(names)


def health(playing):
    one = Health()
    one.starting = False
    status = {"playing": playing, "sources": [{}], "shell": {"underruns": 4}}
    return Vitals(one, session=7, begin_ns=0).body(status, 0, 90 * 10**9).decode()


@pytest.mark.parametrize("playing", [None, 7])
@pytest.mark.parametrize("state", ["starting", "ready", "degraded", "lost", "stopped"])
def test_the_templates_read_what_the_node_says(state, playing):
    told = {f"{ROOT}/state": json.dumps({"state": state, "session": 7})}
    told[f"{ROOT}/health"] = health(playing)
    seen = {}
    for topic, config in configs():
        template = jinja2.Template(config["value_template"])
        seen[topic.split("/")[3]] = template.render(
            value_json=json.loads(told[config["state_topic"]])
        )
        if "availability_template" in config:
            template = jinja2.Template(config["availability_template"])
            available = template.render(value_json=json.loads(told[config["availability_topic"]]))
            assert available == ("offline" if state in ("lost", "stopped") else "online")
    assert seen["state"] == state
    assert seen["problem"] == ("OFF" if state == "ready" else "ON")
    assert seen["playing"] == ("OFF" if playing is None else "ON")
    assert (seen["streams"], seen["uptime"], seen["underruns"]) == ("1", "90", "4")
    assert json.loads(seen["version"])["installed_version"] == "0.1.0"


def test_what_a_bridge_offers_has_the_fields_of_the_documentation_and_is_of_the_nodes_device():
    offered = {topic: json.loads(payload) for topic, payload in OFFERED.items()}
    for topic, config in offered.items():
        prefix, component, node, thing, last = topic.split("/")
        assert (prefix, last) == ("homeassistant", "config") and node in ("coc-1", "ALL")
        assert topic == config_topic(thing, node)
        assert set(config) <= ALLOWED[component], topic
        assert set(config["device"]) <= DEVICE
        assert config["command_topic"] == config["state_topic"] + "/set"
        assert config["retain"] is False, "a wish that is kept would come again and again"
        domain, _, own = config["default_entity_id"].partition(".")
        assert domain == component and re.fullmatch("[a-z0-9_]+", own)
    names = [config["unique_id"] for config in offered.values()]
    names += [config["unique_id"] for _, config in configs()]
    assert len(set(names)) == len(names) and len(offered) == 4
    siren = offered["homeassistant/siren/coc-1/siren/config"]
    assert siren["available_tones"] == list(TONES)
    assert siren["device"]["identifiers"] == configs()[0][1]["device"]["identifiers"]


def test_a_siren_is_there_while_its_bridge_and_its_node_are_and_the_communes_while_the_bridge_is():
    for topic, payload in OFFERED.items():
        config = json.loads(payload)
        of_bridge, *of_node = config["availability"]
        assert of_bridge == {"topic": "assistant/v1/huu-lien/state"}
        assert config["availability_mode"] == "all"
        assert len(of_node) == ("/ALL/" not in topic)
        for one in of_node:
            assert one["topic"] == f"{ROOT}/state"
            template = jinja2.Template(one["value_template"])
            assert template.render(value_json={"state": "degraded"}) == "online"
            assert template.render(value_json={"state": "lost"}) == "offline"
