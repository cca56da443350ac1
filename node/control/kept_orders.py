"""Orders that outlast a power cut: taken from the disk, and checked anew before they hold."""

from collections.abc import Mapping
from dataclasses import replace

from node.control.mute import PREFIX as MUTE_PREFIX
from node.control.mute import Mutes
from node.control.orders import CALENDAR_KEY, VOLUME_KEY
from node.control.plans import Plans
from node.control.trust.gatekeeper import Gatekeeper
from node.control.trust.order import Order


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
        if isinstance(order, Order):
            order = _as_it_was(order, name)
        if not isinstance(order, Order):
            told.append(f"the order kept as {name} holds no more: {order}")
        elif name.startswith(MUTE_PREFIX):
            mutes.restore(order, name)
        else:
            plans.restore(order)
    return told


def _as_it_was(order: Order, name: str) -> Order | str:
    """Return `order` as one of the tier under which it was kept, or why it is none any more.

    A key that has risen since may order more, but what it ordered before did not rise with it; of
    one that has come down nothing higher is left.
    """
    _, _, tier = name.partition("/")[2].partition("/")
    if not tier.lstrip("-").isdecimal():
        return order  # kept before tiers stood in the name
    level, authority = int(tier), order.authority
    if authority.level > level:
        return "above its tier"
    return replace(order, authority=replace(authority, level=level))
