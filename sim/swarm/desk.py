"""The station of a swarm's village: it signs and sends orders, and hears what the nodes tell.

It sits beside the broker. What it cannot give to a broker that is down it gives as soon as that is
back, until the order is void. Strangers use the same network, without a key that counts.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from node.control.orders import Acknowledgement
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate, Revocation
from node.control.trust.message import Kind, Message, open_envelope, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_S
from sim.swarm.script import TIERS, Step
from sim.swarm.studio import session_of
from sim.world.broker import Broker
from sim.world.broker import Message as Publication
from sim.world.loop import VirtualLoop
from sim.world.world import VILLAGE, zone_of

AREA: Final = "vn"
COMMUNE: Final = "c"
NAME: Final = "station"

_CERTIFICATE_S: Final = 366 * 86_400
_COUNTERS: Final = 100
"""Certificates have lower ones."""

_TRIES_NS: Final = NS_PER_S


@dataclass(frozen=True, slots=True)
class Given:
    """A genuine order that the station has given."""

    step: Step
    key: tuple[str, int]
    """Key id and counter, as answers name it."""
    at_ns: int
    data: bytes


class Desk:
    """Signs, sends and hears (`sim.world.broker.Link`).

    Parameters
    ----------
    loop : VirtualLoop
        Of the run.
    broker : Broker
        Beside it.
    seed : int
        Of the keys.
    utc_s : int
        Civil time at the begin.
    told : callable
        Gets node, topic below the node's own, and payload of what a node tells.
    """

    identifier = NAME

    def __init__(
        self,
        loop: VirtualLoop,
        broker: Broker,
        *,
        seed: int,
        utc_s: int,
        told: Callable[[str, str, bytes], None],
    ) -> None:
        self._loop = loop
        self._broker = broker
        self._seed = seed
        self._utc_s = utc_s
        self._told = told
        self._sent: dict[int, bytes] = {}
        self.given: list[Given] = []
        self.come_back()

    def come_back(self) -> None:
        """Connect to the broker, and hear all nodes."""
        self._broker.connect(
            self, keep_alive_s=0, session_s=86_400, receive_max=1000, will=None, will_delay_s=0
        )
        self._broker.subscribe(self, [f"pa/v1/{VILLAGE}/node/+/#"])
        self._broker.resume(self)

    def give(self, message: Publication, handle: int) -> None:
        """Take what a node tells."""
        if handle:
            self._broker.acknowledge(self, handle)
        *_, name, topic = message.topic.split("/")
        if not message.retain and topic != "cmd":
            self._told(name, topic, message.payload)

    def drop(self, reason: int) -> None:
        """Wait for the broker: who starts it again calls `come_back`."""

    def certify(self) -> None:
        """Send the certificates of the tiers."""
        for counter, tier in enumerate(TIERS, start=1):
            area = AREA if tier == "province" else f"{AREA}/{COMMUNE}"
            claim = Certificate(
                name=tier,
                public_key=signer(self._seed, tier).public_key,
                tier=tier,
                area=area,
                class_max=MessageClass.URGENT,
                until_s=self._utc_s + _CERTIFICATE_S,
            )
            content = msgspec.json.encode(claim)
            data = self._seal(
                "root", Kind.CERTIFICATE, content, counter=counter, area=area, ttl_s=86_400
            )
            self._publish(data, 86_400)

    def order(self, step: Step) -> None:
        """Give an order."""
        by = "root" if step.do == "revoke" else step.by
        area = f"{AREA}/{COMMUNE}" + (f"/{step.pole}" if step.pole else "")
        kind, content = self._content(step)
        counter = _COUNTERS + step.number
        data = self._seal(
            by, kind, content, counter=counter, area=area, ttl_s=step.ttl_s, rank=_class_of(step)
        )
        key = (signer(self._seed, by).key_id.hex(), counter)
        self.given.append(Given(step, key, self._loop.now_ns, data))
        self._sent[step.number] = data
        self._publish(data, step.ttl_s)

    def attack(self, step: Step) -> None:
        """Send what no authority has ordered now."""
        if step.do == "forged":
            _, content = self._content(step)
            area = f"{AREA}/{COMMUNE}"
            data = self._seal(
                "stranger",
                Kind.SHORT_ALERT,
                content,
                counter=_COUNTERS,
                area=area,
                ttl_s=step.ttl_s,
            )
            if step.by == "province":  # under the name of a key that is known
                data = data[:4] + signer(self._seed, "commune").key_id + data[12:]
            self._publish(data, step.ttl_s)
            return
        known = self._sent.get(step.about)
        if known is None:
            return
        if step.do == "corrupted":
            at = int(step.at_s * 1000) % len(known)
            known = known[:at] + bytes([known[at] ^ 1 << at % 8]) + known[at + 1 :]
        self._publish(known, 86_400)

    def _content(self, step: Step) -> tuple[Kind, bytes]:
        if step.do in ("mute", "unmute"):
            return (Kind.MUTE if step.do == "mute" else Kind.UNMUTE), b""
        if step.do == "live":
            return Kind.SESSION, session_of(step)
        if step.do == "revoke":
            gone = signer(self._seed, step.by).key_id
            return Kind.REVOCATION, msgspec.json.encode(Revocation((gone,), 1))
        if step.do == "cancel":
            return Kind.SHORT_ALERT, encode_short("cancel", step.number, about=step.about)
        return Kind.SHORT_ALERT, encode_short(
            "alert", step.number, event_code=step.event, lasts_s=step.lasts_s
        )

    def _seal(
        self,
        by: str,
        kind: Kind,
        content: bytes,
        *,
        counter: int,
        area: str,
        ttl_s: int,
        rank: MessageClass = MessageClass.URGENT,
    ) -> bytes:
        message = Message(
            kind=kind,
            key_id=b"",
            counter=counter,
            issued_s=self._utc_s + self._loop.now_ns // NS_PER_S,
            ttl_s=ttl_s,
            message_class=rank,
            area=area,
            content=content,
        )
        return seal(message, signer(self._seed, by))

    def _publish(self, data: bytes, ttl_s: int) -> None:
        self._try(data, self._loop.now_ns + ttl_s * NS_PER_S)

    def _try(self, data: bytes, until_ns: int) -> None:
        if self._loop.now_ns >= until_ns:
            return
        if not self._broker.up:
            self._loop.call_at_ns(self._loop.now_ns + _TRIES_NS, self._try, data, until_ns)
            return
        topic = f"pa/v1/{VILLAGE}/zone/{zone_of(COMMUNE)}/cmd"
        self._broker.publish(self, Publication(topic, data, 1, False, until_ns))


def _class_of(step: Step) -> MessageClass:
    if step.do == "live":
        return MessageClass.NORMAL
    return MessageClass.PRIORITY if step.priority else MessageClass.URGENT


def signer(seed: int, name: str) -> SeedSigner:
    """Return a key of the village."""
    return SeedSigner(hashlib.sha256(f"loalang-swarm/{seed}/{name}".encode()).digest())


def answer_in(payload: bytes) -> Acknowledgement | None:
    """Return what a node answered."""
    message = open_envelope(payload)
    if isinstance(message, str):
        return None
    return msgspec.json.decode(message.content, type=Acknowledgement)
