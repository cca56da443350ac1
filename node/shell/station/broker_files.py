"""What the broker is to do: mosquitto's configuration and its list of who may say and hear what.

Who comes is who its certificate says; a node is the only one that speaks below its own name.
"""

from pathlib import Path
from string import Template
from typing import Final

OFFICE: Final = "STATION"
ASKING: Final = "ENROL"
BRIDGE: Final = "BRIDGE"
ASSISTANT: Final = "HOME-ASSISTANT"
"""Identities that no node can have: names of nodes are lower case."""

CONF: Final = "mosquitto.conf"
ACL: Final = "acl"
REVOKED: Final = "crl.pem"
CERTIFICATE: Final = "broker.pem"
KEY: Final = "broker.key"
CA: Final = "ca.pem"

_CONF: Final = Template("""\
# mosquitto 2.0 for the nodes of $village. Made by `loalang-station init`.
# Alone: mosquitto -c $folder/mosquitto.conf
# Under Debian's service: a link to this file in /etc/mosquitto/conf.d
listener $port
cafile $folder/ca.pem
certfile $folder/broker.pem
keyfile $folder/broker.key
# Who is in this list is not let in. `systemctl kill --signal HUP mosquitto` reads it anew.
crlfile $folder/crl.pem
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file $folder/acl

# Orders of a day for nodes that are away; a node that is away for longer begins anew.
persistent_client_expiration 2d
max_queued_messages 1000
max_packet_size 300000
# What is refused by the list stands in the log, as "Denied".
log_type error
log_type warning
log_type notice
log_type information
log_type debug
""")

_ACL: Final = Template("""\
# Made by `loalang-station init`: who may say and hear what. %u is who a certificate names.
user $office
topic readwrite pa/v1/$village/#

user $asking
topic write pa/v1/$village/enrol/+
topic read pa/v1/$village/grant/+
topic read pa/v1/$village/media/#

pattern write pa/v1/$village/node/%u/state
pattern write pa/v1/$village/node/%u/about
pattern write pa/v1/$village/node/%u/fault
pattern write pa/v1/$village/node/%u/health
pattern write pa/v1/$village/node/%u/beat
pattern write pa/v1/$village/node/%u/metric
pattern write pa/v1/$village/node/%u/path
pattern write pa/v1/$village/node/%u/time
pattern write pa/v1/$village/node/%u/acknowledgement
pattern write pa/v1/$village/node/%u/proof
pattern write pa/v1/$village/node/%u/proof-head
pattern write pa/v1/$village/node/%u/audit
pattern write homeassistant/sensor/%u/+/config
pattern write homeassistant/binary_sensor/%u/+/config
pattern write homeassistant/update/%u/+/config
pattern read pa/v1/$village/node/%u/state
pattern read pa/v1/$village/node/%u/cmd
pattern read pa/v1/$village/node/%u/stream
pattern read pa/v1/$village/zone/+/cmd
pattern read pa/v1/$village/grant/+
pattern read pa/v1/$village/media/#
""")

_BEGIN: Final = (
    "# Home Assistant: from here to its end by `loalang-station home-assistant enable`.\n"
)
_END: Final = "# End of Home Assistant.\n"
_ASSISTANT: Final = Template("""\
user $bridge
topic read assistant/v1/$village/+/+/set
topic write assistant/v1/$village/state
topic write assistant/v1/$village/+/siren
topic write assistant/v1/$village/+/volume
topic readwrite assistant/v1/$village/+/order
topic write homeassistant/siren/+/siren/config
topic write homeassistant/number/+/volume/config
topic write pa/v1/$village/node/+/cmd
topic read pa/v1/$village/node/+/state
topic read pa/v1/$village/node/+/metric
topic read pa/v1/$village/node/+/acknowledgement
topic read pa/v1/$village/node/+/proof
topic read pa/v1/$village/node/+/proof-head

user $assistant
topic write assistant/v1/$village/+/+/set
topic read assistant/v1/$village/state
topic read assistant/v1/$village/+/siren
topic read assistant/v1/$village/+/volume
topic read homeassistant/#
topic write homeassistant/status
topic read pa/v1/$village/node/+/state
topic read pa/v1/$village/node/+/health
""")


def configuration(village: str, port: int, folder: Path) -> str:
    """Return mosquitto's configuration, whose files are in `folder`."""
    return _CONF.substitute(village=village, port=port, folder=folder)


def access_list(village: str) -> str:
    """Return who may say and hear what."""
    return _ACL.substitute(village=village, office=OFFICE, asking=ASKING)


def with_assistant(text: str, village: str) -> str:
    """Return the list `text` with what Home Assistant and its bridge may, once."""
    rules = _ASSISTANT.substitute(village=village, bridge=BRIDGE, assistant=ASSISTANT)
    return f"{without_assistant(text)}{_BEGIN}{rules}{_END}"


def without_assistant(text: str) -> str:
    """Return the list `text` without that."""
    before, begin, rest = text.partition(_BEGIN)
    return before + rest.partition(_END)[2] if begin else text
