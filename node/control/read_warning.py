"""From an authorised order to the warning that it is, in either of its two forms."""

import msgspec

from node.control.settings import ControlConfig
from node.control.trust.authority import EMERGENCY_S
from node.control.trust.message import Kind
from node.control.trust.order import Order
from node.control.warning.alert import Alert, alert_of
from node.control.warning.cap import dated, parse_cap
from node.control.warning.short_alert import decode_short


def read_warning(order: Order, config: ControlConfig) -> Alert | str:
    """Return what a CAP or SHORT_ALERT order says at this node's site, or why nothing."""
    message, site = order.message, config.site.site()
    found: Alert | str
    if message.kind is Kind.SHORT_ALERT:
        found = decode_short(message, order.authority, site, order.level)
    else:
        cap = parse_cap(message.content)
        if isinstance(cap, str):
            return cap
        cap = dated(cap, message.issued_s)
        class_max = min(order.authority.class_max, message.message_class)
        found = alert_of(cap, site, config.alert, level=order.level, class_max=class_max)
    if isinstance(found, str):
        return found
    more = tuple(_of_its_order(one, order) for one in found.more)
    return msgspec.structs.replace(_of_its_order(found, order), more=more)


def _of_its_order(alert: Alert, order: Order) -> Alert:
    """Return `alert` with who ordered it, and no longer in force than they may order."""
    message, expires_s = order.message, alert.expires_s
    lasts_max_s = EMERGENCY_S if order.authority.emergency else 0
    asked = order.authority.together
    # Names alone are not enough: who may not order so much has signed, and does not count.
    is_of_several = asked is not None and order.authority.class_max >= asked.from_class
    if lasts_max_s:
        expires_s = min(expires_s, message.issued_s + lasts_max_s)
    return msgspec.structs.replace(
        alert,
        expires_s=expires_s,
        lasts_max_s=lasts_max_s,
        signed_by=message.key_id.hex(),
        area=message.area,
        class_max=int(order.authority.class_max),
        cosigned_by=tuple(one.hex() for one in order.cosigners) if is_of_several else (),
    )
