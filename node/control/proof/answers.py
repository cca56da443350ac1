"""What a node signs: its answer to each order, and the newest end of its chain of proof.

Answers are told apart by what they name, so their counter need not survive a restart.
"""

import msgspec

from node.control.orders import Acknowledgement
from node.control.precedence import MessageClass
from node.control.proof.proof import ProofChain
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import Signer
from node.events import Publish


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

    def acknowledge(self, answered: Message, fate: str, utc_s: int) -> Publish | None:
        """Return the answer to an order: which one, and its fate in a word."""
        content = Acknowledgement(self._name, answered.key_id.hex(), answered.counter, fate, utc_s)
        return self._sealed("acknowledgement", Kind.ACKNOWLEDGEMENT, content, utc_s)

    def tell_head(self, proof: ProofChain, utc_s: int) -> Publish | None:
        """Return the signed head of the chain, if it has grown since the last call.

        Who keeps it can show later that entries were cut off (reliability.md, section 3, audit).
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
