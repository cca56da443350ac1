"""The bridge's own orders: warnings, their ends and volume plans, signed by its own key."""

import json
from dataclasses import dataclass
from typing import Any, Final

from node.control.precedence import MessageClass
from node.control.trust.message import Kind, Message, open_envelope, seal
from node.control.trust.signature import Signer, verified
from node.control.warning.alert_blocks import ANY_EVENT
from node.control.warning.short_alert import encode_short
from node.shell.poles.readable import short_number

TTL_S: Final = 60
"""For clocks that differ; the broker forgets an order sooner."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An order as it is sent, and as answers to it are looked for."""

    data: bytes
    message: Message
    number: int = 0
    """Of a warning."""


class Orders:
    """Sign for Home Assistant.

    Parameters
    ----------
    signer : Signer
        A key that the commune's has certified.
    message_class : MessageClass
        Of all that it orders: the highest that its certificate allows.
    plan : dict
        The commune's volume plan, of which the volume alone is changed.
    """

    def __init__(self, signer: Signer, message_class: MessageClass, plan: dict[str, Any]) -> None:
        self._signer = signer
        self._class = message_class
        self._plan = plan
        self._counter = self._number = 0

    def alert(self, area: str, tone: str, lasts_s: int, utc_ns: int) -> Sealed:
        """Return a warning of the event that `tone` names."""
        number, code = self._next_number(utc_ns), "" if tone == ANY_EVENT else tone
        content = encode_short("alert", number, event_code=code, lasts_s=lasts_s)
        return self._seal(Kind.SHORT_ALERT, area, content, utc_ns, number)

    def cancel(self, area: str, about: int, utc_ns: int) -> Sealed:
        """Return the end of the warning with the number `about`."""
        content = encode_short("cancel", self._next_number(utc_ns), about=about)
        return self._seal(Kind.SHORT_ALERT, area, content, utc_ns, about)

    def volume(self, area: str, volume: int, utc_ns: int) -> Sealed:
        """Return the volume plan with another volume."""
        content = plan_text(self._plan | {"volume": volume}).encode()
        return self._seal(Kind.VOLUME, area, content, utc_ns)

    def own(self, data: bytes) -> Sealed | None:
        """Return a warning that this key has signed, None for all else. Never raises."""
        message = open_envelope(data)
        if isinstance(message, str) or message.kind is not Kind.SHORT_ALERT:
            return None
        if not verified(self._signer.public_key, message.signature, message.signed):
            return None
        return Sealed(data, message, short_number(message.content))

    def _next_number(self, utc_ns: int) -> int:
        """Return by what a warning is known: none has it twice, whatever the clock does."""
        self._number = max(self._number + 1, utc_ns)
        return self._number

    def _seal(self, kind: Kind, area: str, content: bytes, utc_ns: int, number: int = 0) -> Sealed:
        # Two orders within a millisecond, or after a step back of the clock, are two.
        self._counter = max(self._counter + 1, utc_ns // 1_000_000)
        message = Message(
            kind=kind,
            key_id=self._signer.key_id,
            counter=self._counter,
            issued_s=utc_ns // 1_000_000_000,
            ttl_s=TTL_S,
            message_class=self._class,
            area=area,
            content=content,
        )
        data = seal(message, self._signer)
        opened = open_envelope(data)
        assert isinstance(opened, Message), "the plan's length was looked at before"
        return Sealed(data, opened, number)


def plan_text(plan: dict[str, Any]) -> str:
    """Return a plan as TOML: one line for each field."""
    return "".join(f"{name} = {_toml(value)}\n" for name, value in plan.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str | bool | int):
        return json.dumps(value, ensure_ascii=False)
    return str(value)  # a date
