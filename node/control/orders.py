"""Contents of orders that are neither warnings nor certificates, and the answer to each order."""

from typing import Final

import msgspec

from node.address import split_host_port
from node.config import ConfigError, build
from node.control.calendar.programme import ProgrammeConfig
from node.control.loudness.schedule import VolumeConfig
from node.control.plan_text import read_plan_text
from node.control.trust.message import Kind, Message
from node.control.trust.packet_guard import SRTP_KEY_BYTES
from node.control.trust.signature import PUBLIC_KEY_BYTES

JOIN_KEY_BYTES: Final = 32
"""As `node.rtp.join_packet` wants it; stages do not know each other."""

OWN_SSRCS: Final = 0xFFFF0000
"""Numbers of streams from here on are the node's own: nobody announces one."""

VOLUME_KEY: Final = "order/volume"
CALENDAR_KEY: Final = "order/calendar"

_LOCAL: Final = ("hamlet", "languages", "offset_s")
"""Fields of a calendar that belong to the node, not to the commune."""


class Session(msgspec.Struct, frozen=True):
    """Content of SESSION and SESSION_END; class, level and end are the envelope's."""

    ssrc: int
    stream: str = ""
    """Name of a stream that is heard only while an item of the calendar relays it."""
    public_key: bytes = b""
    """Ed25519 key that signs each packet, made for this session alone."""
    counter_start: int = 0
    """Counters of its packets begin here: microseconds since 1970, for instance."""
    srtp_key: bytes = b""
    """Instead of that key: master key and salt of SRTP, for this node alone."""
    address: str = ""
    """Host that the packets must come from; empty for any."""
    join: str = ""
    """HOST:PORT where nodes ask for the stream; empty: it is sent to them."""
    join_key: bytes = b""
    """By which they are known there, and it to them."""


class Acknowledgement(msgspec.Struct, frozen=True):
    """Content of what a node answers: which order, and its fate in a word."""

    node: str
    issuer: str
    counter: int
    fate: str
    at_s: int
    remedy: str = ""
    """What would help, where it was refused."""


def read_plan(message: Message, own: ProgrammeConfig) -> ProgrammeConfig | VolumeConfig | str:
    """Return the plan in a CALENDAR or VOLUME message (TOML), or what is wrong with it."""
    try:
        table = read_plan_text(message.content)
    except ConfigError as fault:
        return str(fault)
    errors: list[str] = []
    plan: ProgrammeConfig | VolumeConfig | None
    if message.kind is Kind.VOLUME:
        plan = build(VolumeConfig, table, where="order", errors=errors, what="volume")
    else:
        mine = {name: getattr(own, name) for name in _LOCAL}
        mine["languages"] = list(own.languages)
        plan = build(ProgrammeConfig, table | mine, where="order", errors=errors, what="programme")
    return plan if plan is not None else "; ".join(errors)[:500]


def read_session(message: Message) -> Session | None:
    """Return the session that a message is about, or None."""
    try:
        session = msgspec.json.decode(message.content, type=Session)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    good = (
        0 <= session.ssrc < 1 << 32
        and len(session.stream) <= 64
        and len(session.public_key) in (0, PUBLIC_KEY_BYTES)
        and len(session.srtp_key) in (0, SRTP_KEY_BYTES)
        and 0 <= session.counter_start < 1 << 63
        and len(session.join_key) == (JOIN_KEY_BYTES if session.join else 0)
        and (not session.join or split_host_port(session.join) is not None)
    )
    return session if good else None
