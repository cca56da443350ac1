"""What a pole has on its disk that was here before the day began, and is off when it does."""

from collections.abc import Sequence

from node.control.controller import Controller
from node.events import Persist
from node.units import NS_PER_S
from sim.day.nodes import NodeParts
from sim.day.station import Sent

_BOOTED_NS = 3600 * NS_PER_S


def kept_before(parts: NodeParts, plans: Sequence[Sent]) -> dict[str, bytes]:
    """Return what a node keeps of keys and plans: it had them while it was on."""
    kept: dict[str, bytes] = {}
    controller = Controller(parts.node.name, parts.control, parts.rules, kept, parts.signer)
    controller.receive_time(parts.midnight_s * NS_PER_S, _BOOTED_NS, synchronised=True)
    for sent in plans:
        controller.receive_message("cmd", sent.data, _BOOTED_NS)
        while (event := controller.next_event()) is not None:
            if isinstance(event, Persist):
                kept[event.key] = event.value
    return kept
