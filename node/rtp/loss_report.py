"""What a node says of a stream's losses beside its receiver report: what repair has left.

An APP packet of eight bytes in each of its compounds. It also says that the node takes RFC 2198
copies, and under which payload type: who does not send it gets none.

::

    |V=2| subtype 0 | PT 204 | length 4 |  SSRC of the node  |  "LoaL"  |
    |  made up, 1/65536 of the time  |  repaired, 1/65536  |
    |  payload type  |  1: asks again  |  0  |  0  |
"""

import struct
from typing import Final

from msgspec import Struct

from node.rtp.rtcp_packet import Application

NAME: Final = b"LoaL"

_FIELDS: Final = struct.Struct("!HHBBxx")
_ONE: Final = 1 << 16


class LossReport(Struct, frozen=True):
    """Since the report before."""

    made_up_ratio: float
    """Share of the sound that was concealed, faded or silent."""

    repaired_ratio: float
    """Share that came with another packet, or a second time."""

    payload_type: int
    """Of packets with copies, as the node expects it."""

    asks: bool
    """The node asks for lost packets when somebody answers."""


def loss_packet(ssrc: int, report: LossReport) -> Application:
    """Return the APP packet of the node `ssrc`."""
    words = loss_words(report.made_up_ratio, report.repaired_ratio)
    payload = _FIELDS.pack(*words, report.payload_type, int(report.asks))
    return Application(ssrc, 0, NAME, payload)


def loss_words(made_up_ratio: float, repaired_ratio: float) -> tuple[int, int]:
    """Return the fields of that packet, of those of a `LossReport`."""
    return min(round(made_up_ratio * _ONE), _ONE - 1), min(round(repaired_ratio * _ONE), _ONE - 1)


def loss_of(packet: Application) -> LossReport | None:
    """Return what an APP packet says of losses, or None if it says nothing."""
    if packet.name != NAME or len(packet.payload) != _FIELDS.size:
        return None
    made_up, repaired, payload_type, asks = _FIELDS.unpack(packet.payload)
    return LossReport(made_up / _ONE, repaired / _ONE, payload_type & 0x7F, asks == 1)
