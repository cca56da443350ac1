"""Orders that outlast a power cut: taken from the disk, and checked anew before they hold."""

from collections.abc import Mapping

from node.control.mute import PREFIX as MUTE_PREFIX
from node.control.mute import Mutes
from node.control.orders import CALENDAR_KEY, VOLUME_KEY
from node.control.plans import Plans
from node.control.trust.gatekeeper import Gatekeeper, Order


def restore_orders(
    stored: Mapping[str, bytes], gate: Gatekeeper, mutes: Mutes, plans: Plans
) -> list[str]:
    """Give the kept mutes, calendars and volume plans back; return what to tell of those that
    hold no more.
    """
    told: list[str] = []
    for name, sealed in sorted(stored.items()):
        if not sealed or not name.startswith((MUTE_PREFIX, CALENDAR_KEY, VOLUME_KEY)):
            continue
        order = gate.restore(sealed)
        if not isinstance(order, Order):
            told.append(f"the order kept as {name} holds no more: {order}")
        elif name.startswith(MUTE_PREFIX):
            mutes.restore(order)
        else:
            plans.restore(order)
    return told
