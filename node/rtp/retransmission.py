"""Who may be asked for lost packets (RFC 4585), and how the answers look (RFC 4588)."""

import struct
from collections.abc import Iterable
from typing import Final

from node.rtp.rtcp_packet import Application, Packet

ANSWERS_NAME: Final = b"LoaR"
"""APP packet of a sender: it answers requests for lost packets with this payload type."""

_ANSWERS: Final = struct.Struct("!I")


ORIGINAL_BYTES: Final = 2
"""The original sequence number before the payload (RFC 4588, section 4)."""


def announcement(ssrc: int, payload_type: int) -> Application:
    """Return the APP packet by which the sender of `ssrc` says that it may be asked."""
    return Application(ssrc, 0, ANSWERS_NAME, _ANSWERS.pack(payload_type))


def is_announced(packets: Iterable[Packet], ssrc: int, payload_type: int) -> bool:
    """Return whether one of `packets` says that the sender of `ssrc` answers so."""
    return announcement(ssrc, payload_type) in packets
