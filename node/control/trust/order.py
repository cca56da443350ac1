"""What becomes of a message: an order that may act here, or why it does not."""

from dataclasses import dataclass

from node.control.trust.certificate import LOWEST, WHAT, Authority, Warrant
from node.control.trust.message import Message


@dataclass(frozen=True, slots=True)
class Order:
    """A message that may act here, and who gave it."""

    message: Message
    authority: Authority
    level: str
    sealed: bytes
    until_ns: int
    """End of its time to live, monotonic, counted from receipt."""
    cosigners: tuple[bytes, ...] = ()
    """Who signed it besides, where that was asked for."""

    @property
    def warrant(self) -> Warrant:
        """On whose word its effects act."""
        return warrant_of(self.message, self.cosigners, self.authority.level)


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that does not act: why, and what there is to answer."""

    fate: str
    message: Message | None = None
    """None: it is no order at all, or not by the key that it names; nobody is answered."""
    signer: Authority | None = None


def warrant_of(message: Message, cosigners: tuple[bytes, ...], level: int = LOWEST) -> Warrant:
    """Return on whose word a message acts, and as of which tier."""
    return Warrant(message.key_id, message.area, level, WHAT.get(message.kind, ""), cosigners)
