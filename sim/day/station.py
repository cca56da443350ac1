"""The station's desk in the simulator: keys from the seed, orders signed as people sign them."""

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, time
from typing import Final

import msgspec

from node.control.calendar.programme import ProgrammeConfig
from node.control.civil_time import instant_s, load_zone
from node.control.orders import Session
from node.control.precedence import CLASSES, MessageClass
from node.control.trust.authority import Certificate
from node.control.trust.message import COMMAND_BYTES_MAX, Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S
from sim.village.day_config import DayConfig, OrderConfig
from sim.village.faults import Fault, into_day_ns

PLAN_TTL_S: Final = 86_400

LIVE_SLACK_S: Final = 20
"""A live programme is announced so long before it begins, and may go on for so long after it."""

LIVE_AGAIN_S: Final = 60

_KINDS: Final = {"mute": Kind.MUTE, "unmute": Kind.UNMUTE}
_CERTIFICATE_S: Final = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Sent:
    """One signed order on its way."""

    label: str
    """What people call it."""

    at_ns: int
    """Since the midnight at which the day begins."""

    ttl_s: int
    commune: str
    """Whose station sends it."""

    data: bytes
    order: OrderConfig | None = None
    """What people ordered; None for keys and plans."""

    attack: Fault | None = None
    """What a stranger sent: nobody ordered it now."""


class Station:
    """The desks of all communes, and of the tiers above them.

    Parameters
    ----------
    day : DayConfig
        Of the scenario.
    communes : tuple of str
        Names, in the order of the scenario.
    seed : int
        Of the run: the keys follow from it.
    """

    def __init__(self, day: DayConfig, communes: tuple[str, ...], *, seed: int) -> None:
        self._day = day
        self._communes = communes
        self._seed = seed
        self._root = self._signer("root")
        self._counter = 0
        self.midnight_s = midnight_s(day)
        self.day_s = length_s(day)
        self.root_public_key = self._root.public_key

    def orders(self) -> list[Sent]:
        """Return everything that is sent on that day, in the order of time."""
        sent: list[Sent] = []
        for commune in self._communes:
            tiers = dict.fromkeys(
                [
                    *(order.by for order in self._day.orders),
                    *self._calendars(),
                    self._day.priority.commune_tier,
                ]
            )
            sent += [self._certificate(tier, commune) for tier in tiers]
            sent += self._plans(commune)
            sent += [
                self._order(one, commune)
                for one in self._day.orders
                if one.commune in (None, commune)
            ]
        return sorted(sent, key=lambda one: one.at_ns)

    def live_orders(self, ssrc: int, srtp_key: bytes, *, begin_s: int, end_s: int) -> list[Sent]:
        """Return what announces a live programme, from its desk's key on, in the order of time.

        It is announced anew each minute, for who has booted meanwhile; s into the day.
        """
        sent = []
        tier = self._day.priority.commune_tier
        content = msgspec.json.encode(Session(ssrc, srtp_key=srtp_key))
        for commune in self._communes:
            area = self._area(tier, commune)
            desk = self._signer(f"live/{area}")
            sent.append(self._certificate(tier, commune, desk=desk, name="studio"))
            sent += [
                self._seal(
                    desk, Kind.SESSION, content, area, commune,
                    label="live", at_s=at_s, ttl_s=end_s + LIVE_SLACK_S - at_s,
                )
                for at_s in range(begin_s - LIVE_SLACK_S, end_s, LIVE_AGAIN_S)
            ]  # fmt: skip
        return sent

    def key_id(self, tier: str, commune: str) -> bytes:
        """Return the id of the key that orders for a tier, as nodes know it."""
        return self._authority(tier, commune).key_id

    def stranger(self) -> SeedSigner:
        """Return a key that nobody has certified."""
        return self._signer("stranger")

    def node_signer(self, node: str) -> SeedSigner:
        """Return the key with which a node answers."""
        return self._signer(f"node/{node}")

    def _signer(self, name: str) -> SeedSigner:
        return SeedSigner(hashlib.sha256(f"loalang-sim/{self._seed}/{name}".encode()).digest())

    def _area(self, tier: str, commune: str) -> str:
        """Return what an authority of `tier` may speak for: those above a commune for all."""
        tiers = self._day.priority.tiers
        own = self._day.priority.commune_tier
        above = own in tiers and tiers.index(tier) < tiers.index(own)
        return self._day.area if above else f"{self._day.area}/{commune}"

    def _authority(self, tier: str, commune: str) -> SeedSigner:
        return self._signer(f"{tier}/{self._area(tier, commune)}")

    def _certificate(
        self, tier: str, commune: str, *, desk: SeedSigner | None = None, name: str = ""
    ) -> Sent:
        area = self._area(tier, commune)
        claim = Certificate(
            name=name or tier,
            public_key=(desk or self._authority(tier, commune)).public_key,
            tier=tier,
            area=area,
            class_max=MessageClass.URGENT,
            until_s=self.midnight_s + _CERTIFICATE_S,
        )
        content = msgspec.json.encode(claim)
        return self._seal(
            self._root, Kind.CERTIFICATE, content, area, commune, label=f"{name or tier}'s key"
        )

    def _plans(self, commune: str) -> list[Sent]:
        """Return the calendars and the volume plan, as the desks send them at midnight."""
        own = self._day.priority.commune_tier
        plans: list[tuple[Kind, object, str]] = [
            (Kind.CALENDAR, plan, tier) for tier, plan in self._calendars().items()
        ]
        plans.append((Kind.VOLUME, self._day.volume, own))
        return [
            self._seal(
                self._authority(tier, commune),
                kind,
                to_toml(plan).encode(),
                self._area(tier, commune),
                commune,
                label=kind.name.lower(),
            )
            for kind, plan, tier in plans
        ]

    def _calendars(self) -> dict[str, ProgrammeConfig]:
        """Return the calendar of each tier, of its own items; the commune always has one."""
        programme, own = self._day.programme, self._day.priority.commune_tier
        named = {own, *(item.level for item in programme.items)}
        return {
            tier: replace(programme, items=tuple(i for i in programme.items if i.level == tier))
            for tier in self._day.priority.tiers
            if tier in named
        }

    def _order(self, order: OrderConfig, commune: str) -> Sent:
        by, area = self._authority(order.by, commune), f"{self._day.area}/{commune}"
        if order.hamlet is not None:
            area = f"{area}/{order.hamlet}"
        kind = _KINDS.get(order.kind, Kind.SHORT_ALERT)
        content = b""
        if order.kind == "alert":
            content = encode_short(
                "alert", order.number, event_code=order.event, lasts_s=order.lasts_s
            )
        elif order.kind == "cancel":
            content = encode_short("cancel", (1 << 32) + order.number, about=order.number)
        at_s = instant_of(self._day, order.at) - self.midnight_s
        sent = self._seal(
            by, kind, content, area, commune, label=order.kind, at_s=at_s, ttl_s=order.ttl_s
        )
        return replace(sent, order=order)

    def _seal(
        self,
        by: SeedSigner,
        kind: Kind,
        content: bytes,
        area: str,
        commune: str,
        *,
        label: str,
        at_s: int = 0,
        ttl_s: int | None = None,
    ) -> Sent:
        self._counter += 1
        ttl_s = max(PLAN_TTL_S, self.day_s) if ttl_s is None else ttl_s
        urgent = kind in (Kind.SHORT_ALERT, Kind.MUTE, Kind.UNMUTE)
        message = Message(
            kind=kind,
            key_id=by.key_id,
            counter=self._counter,
            issued_s=self.midnight_s + at_s,
            ttl_s=ttl_s,
            message_class=MessageClass.URGENT if urgent else MessageClass.NORMAL,
            area=area,
            content=content,
        )
        data = seal(message, by)
        assert kind is Kind.CALENDAR or len(data) <= COMMAND_BYTES_MAX, "a volume plan of 8 KB"
        return Sent(label, at_s * NS_PER_S, ttl_s, commune, data)


def midnight_s(day: DayConfig) -> int:
    """Return when the day begins, in seconds UTC."""
    return instant_of(day, "00:00")


def length_s(day: DayConfig) -> int:
    """Return how long a day is, s: other than 24 hours where its clocks are changed."""
    return into_day_ns("24:00", day.date, day.programme.zone) // NS_PER_S


def instant_of(day: DayConfig, wall: str) -> int:
    """Return the instant at which the village's clocks show `wall` (hh:mm) on that day."""
    zone = load_zone(day.programme.zone)
    return instant_s(date.fromisoformat(day.date), time.fromisoformat(wall), zone)


def to_toml(config: object) -> str:
    """Return a configuration as the TOML text that reads back as it; None is left out."""
    assert is_dataclass(config)
    pairs = [(one.name, getattr(config, one.name)) for one in fields(config)]
    return "".join(f"{name} = {_value(value)}\n" for name, value in pairs if value is not None)


def _value(value: object) -> str:
    if is_dataclass(value):
        pairs = [(one.name, getattr(value, one.name)) for one in fields(value)]
        return "{" + ", ".join(f"{n} = {_value(v)}" for n, v in pairs if v is not None) + "}"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(str(k))} = {_value(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def class_name(message_class: MessageClass) -> str:
    """Return what people call a class."""
    return CLASSES[message_class]
