"""What Home Assistant is told of a node by MQTT discovery: a device with sensors, all only read.

Topics `<prefix>/<component>/<node>/<object>/config`, retained; the values come from the node's own
`state` and `health`. There is no siren and no volume to set: an order has a signature, and a
program that can write to a broker has none. Where the office wants them all the same it starts a
bridge that signs (`node.shell.station.assistant`).
"""

import json
import re
from typing import Final

_STATE: Final = "state"
_HEALTH: Final = "health"
_STATES: Final = ["starting", "ready", "degraded", "stopped", "lost"]

# object: (component, own topic, template, more)
_ENTITIES: Final[dict[str, tuple[str, str, str, dict[str, object]]]] = {
    "state": (
        "sensor", _STATE, "{{ value_json.state }}",
        {"name": "State", "device_class": "enum", "options": _STATES},
    ),
    "problem": (
        "binary_sensor", _STATE, "{{ 'OFF' if value_json.state == 'ready' else 'ON' }}",
        {"name": "Problem", "device_class": "problem"},
    ),
    "playing": (
        "binary_sensor", _HEALTH, "{{ 'ON' if value_json.play else 'OFF' }}",
        {"name": "Playing", "device_class": "sound"},
    ),
    "streams": (
        "sensor", _HEALTH, "{{ value_json.hear }}",
        {"name": "Streams heard", "state_class": "measurement"},
    ),
    "uptime": (
        "sensor", _HEALTH, "{{ value_json.up }}",
        {"name": "Running for", "device_class": "duration", "unit_of_measurement": "s"},
    ),
    "underruns": (
        "sensor", _HEALTH, "{{ value_json.un }}",
        {"name": "Underruns", "state_class": "total_increasing"},
    ),
    "proof": (
        "sensor", _HEALTH, "{{ value_json.proof }}",
        {"name": "Entries of the proof", "state_class": "total_increasing"},
    ),
}  # fmt: skip
AVAILABLE: Final = "{{ 'offline' if value_json.state in ('lost', 'stopped') else 'online' }}"
"""Of what a node does, by its `state`."""


def device_key(village: str, name: str) -> str:
    """Return by what Home Assistant knows a node; without a name, the commune."""
    return "_".join(one for one in ("loalang", village, name) if one)


def discovery(prefix: str, root: str, name: str, version: str) -> dict[str, bytes]:
    """Return what is to be retained under which topic.

    Parameters
    ----------
    prefix : str
        Home Assistant's discovery prefix.
    root : str
        Topic of the node, `pa/v1/<village>/node/<name>`.
    name, version : str
        Of the node, and of its program.
    """
    key = device_key(root.split("/")[2], name)
    device = {"identifiers": [key], "name": name, "model": "Loa Lang", "sw_version": version}
    found: dict[str, bytes] = {}
    entities = dict(_ENTITIES)
    installed = json.dumps({"installed_version": version, "latest_version": version})
    entities["version"] = ("update", _STATE, installed, {"name": "Version"})
    for thing, (component, topic, template, more) in entities.items():
        config = {
            "unique_id": f"{key}_{thing}",
            "default_entity_id": f"{component}.{re.sub('[^a-z0-9]', '_', key.lower())}_{thing}",
            "device": device,
            "state_topic": f"{root}/{topic}",
            "value_template": template,
        }
        if thing not in ("state", "problem"):
            config["availability_topic"] = f"{root}/{_STATE}"
            config["availability_template"] = AVAILABLE
        topic = f"{prefix}/{component}/{name}/{thing}/config"
        found[topic] = json.dumps(config | more, ensure_ascii=False).encode()
    return found
