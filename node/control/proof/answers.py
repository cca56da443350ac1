"""What a node signs: its answer to each order, and the newest end of its chain of proof.

Answers are told apart by what they name, so their counter need not survive a restart.
"""

import msgspec

from node.control.orders import Acknowledgement
from node.control.precedence import MessageClass
from node.control.proof.proof import ProofChain
from node.control.trust.fates import remedy_of
from node.control.trust.message import Kind, Message, seal
from node.control.trust.order import Order, Refused
from node.control.trust.rates import STRANGERS, TOO_MANY, Rates
from node.control.trust.signature import Signer
from node.events import Note, Publish


class ProofHead(msgspec.Struct, frozen=True):
    """Content of a PROOF_HEAD: how many entries the chain of `node` has, and its hash."""

    node: str
    number: int
    head: str
    at_s: int


class Answers:
    """Sign for one node; without a key it stays silent."""

    def __init__(self, name: str, area: str, signer: Signer | None) -> None:
        self._name = name
        self._area = area
        self._signer = signer
        self._counter = 0
        self._told_number = 0
        self._seldom = Rates()

    def acknowledge(self, answered: Message, fate: str, utc_s: int) -> Publish | None:
        """Return the answer to an order: which one, its fate in a word, and what would help."""
        issuer, counter = answered.key_id.hex(), answered.counter
        content = Acknowledgement(self._name, issuer, counter, fate, utc_s, remedy_of(fate))
        return self._sealed("acknowledgement", Kind.ACKNOWLEDGEMENT, content, utc_s)

    def refuse(self, refused: Refused, utc_s: int, now_ns: int) -> list[Note | Publish]:
        """Return what to log and to answer of an order that does not act.

        Of what nobody known has signed, and of what a tier signs beyond its limit, only now and
        then: it fills no log, and is sent hardly anything.
        """
        over = b"" if refused.signer is None else b"%d" % refused.signer.level
        seldom = refused.signer is None or refused.fate == TOO_MANY
        if seldom and not self._seldom.allow(over, STRANGERS, now_ns):
            return []
        name = "a stranger" if refused.signer is None else refused.signer.name
        remedy = remedy_of(refused.fate)
        text = f"an order of {name} is refused: {refused.fate}"
        told: list[Note | Publish] = [Note(f"{text}; {remedy}" if remedy else text, now_ns)]
        if refused.message is not None:
            answer = self.acknowledge(refused.message, refused.fate, utc_s)
            told += [] if answer is None else [answer]
        return told

    def tell_emergency(
        self, order: Order, fate: str, utc_s: int, now_ns: int
    ) -> list[Note | Publish]:
        """Return what to say aloud, here and to the office, of the use of a sealed key."""
        name, kind = order.authority.name, order.message.kind.name
        said = {"emergency_key": name, "kind": kind, "fate": fate, "at_s": utc_s}
        text = f"THE SEALED EMERGENCY KEY OF {name} WAS USED: {kind}, {fate}"
        return [Note(text, now_ns), Publish("audit", msgspec.json.encode(said))]

    def tell_head(self, proof: ProofChain, utc_s: int) -> Publish | None:
        """Return the signed head of the chain, if it has grown since the last call.

        Who keeps it can show later that entries were cut off (docs/why.md).
        """
        if proof.number == self._told_number:
            return None
        self._told_number = proof.number
        content = ProofHead(self._name, proof.number, proof.head, utc_s)
        return self._sealed("proof-head", Kind.PROOF_HEAD, content, utc_s)

    def _sealed(
        self, topic: str, kind: Kind, content: msgspec.Struct, utc_s: int
    ) -> Publish | None:
        if self._signer is None:
            return None
        self._counter += 1
        message = Message(
            kind=kind,
            key_id=self._signer.key_id,
            counter=self._counter,
            issued_s=max(utc_s, 0),
            ttl_s=3600,
            message_class=MessageClass.NORMAL,
            area=self._area,
            content=msgspec.json.encode(content),
        )
        return Publish(topic, seal(message, self._signer))
