"""What the bridge offers Home Assistant: a siren and a volume of each node, and of all as one.

```
 assistant/v1/<village>/state                     the bridge: online, offline (its last will)
 assistant/v1/<village>/<node>/{siren,volume}      how it is, retained; ALL for the whole commune
 assistant/v1/<village>/<node>/{siren,volume}/set  what Home Assistant wishes
 assistant/v1/<village>/<node>/order               the bridge's own: what it signed last, retained
```
The topics are none of `pa/`: no identity of a station or node may write there.
"""

import json
import re
from typing import Final

from node.shell.broker.home_assistant import AVAILABLE, device_key

PREFIX: Final = "homeassistant"
"""Home Assistant's discovery prefix: the broker's list names it too."""

ALL: Final = "ALL"
"""Stands for the commune; names of nodes are lower case."""

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
SIREN: Final = "siren"
VOLUME: Final = "volume"
ORDER: Final = "order"
THINGS: Final = (SIREN, VOLUME)
COMPONENTS: Final = {SIREN: "siren", VOLUME: "number"}

VOLUME_MIN: Final = 10
VOLUME_MAX: Final = 100
"""Softer than the least it would be a warning that nobody hears."""


def root_of(village: str) -> str:
    """Return what all topics of the bridge begin with."""
    return f"assistant/v1/{village}"


def bridge_topic(village: str) -> str:
    """Return where the bridge says whether it is there."""
    return f"{root_of(village)}/state"


def config_topic(thing: str, name: str) -> str:
    """Return where a thing of a node is announced."""
    return f"{PREFIX}/{COMPONENTS[thing]}/{name}/{thing}/config"


def announced(village: str, name: str, tones: tuple[str, ...]) -> dict[str, bytes]:
    """Return what is to be retained under which topic for a node, or for `ALL`."""
    key = device_key(village, name) if name != ALL else device_key(village, "")
    shown = village if name == ALL else name
    device = {"identifiers": [key], "name": shown, "model": "Loa Lang"}
    available = [{"topic": bridge_topic(village)}]
    if name != ALL:
        state = f"pa/v1/{village}/node/{name}/state"
        available.append({"topic": state, "value_template": AVAILABLE})
    found = {}
    for thing in THINGS:
        topic, component = f"{root_of(village)}/{name}/{thing}", COMPONENTS[thing]
        own = re.sub("[^a-z0-9]", "_", key.lower())
        config: dict[str, object] = {
            "name": thing.capitalize(),
            "unique_id": f"{key}_{thing}",
            "default_entity_id": f"{component}.{own}_{thing}",
            "device": device,
            "availability": available,
            "availability_mode": "all",
            "command_topic": f"{topic}/set",
            "state_topic": topic,
            "json_attributes_topic": topic,
            "qos": 1,
            "retain": False,
        }
        found[config_topic(thing, name)] = _encoded(config | _own_fields(thing, tones))
    return found


def _own_fields(thing: str, tones: tuple[str, ...]) -> dict[str, object]:
    if thing == SIREN:
        return {
            "state_value_template": "{{ value_json.state }}",
            "available_tones": list(tones),
            "support_duration": True,
            "support_volume_set": True,
        }
    return {
        "value_template": "{{ value_json.volume }}",
        "min": VOLUME_MIN,
        "max": VOLUME_MAX,
        "step": 1,
        "mode": "slider",
        "unit_of_measurement": "%",
    }


def _encoded(config: dict[str, object]) -> bytes:
    return json.dumps(config, ensure_ascii=False).encode()
