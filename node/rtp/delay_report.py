"""The playout delay of a group, as APP packets say it: what a node needs, what its sender tells.

::

    |V=2| subtype 0 | PT 204 | length 6 |  SSRC of the node  |  "LoaN"  |
    |  needed delay, us  |  playing delay, us  |  uncertainty, us  |  skew, ppb  |

    |V=2| subtype 0 | PT 204 | length 6 |  SSRC of the sender  |  "LoaD"  |
    |  delay, us  |  0  |  NTP time from which it holds, 64 bits  |
"""

import struct
from typing import Final

from msgspec import Struct

from node.rtp import rtcp
from node.rtp.rtcp_packet import Application

NEED_NAME: Final = b"LoaN"
"""APP packet of a node: needed and present playout delay, uncertainty (us), skew (ppb)."""
DELAY_NAME: Final = b"LoaD"
"""APP packet of a sender: playout delay (us), reserved, NTP time from which it holds."""
_UNKNOWN_US: Final = 0xFFFFFFFF
"""The node has no map to the sender's clock."""
_SKEW_MAX_PPM: Final = 2_000_000.0
_NEED: Final = struct.Struct("!IIIi")
_DELAY: Final = struct.Struct("!IIQ")


class DelayNeed(Struct, frozen=True):
    """How a node stands to the group's playout delay."""

    needed_ns: int
    """Playout delay that it would need for its late ratio."""

    playing_ns: int
    """Playout delay at which it plays now."""

    uncertainty_ns: int | None
    """Of the sender's clock as the node knows it; None without a map."""

    skew_ppm: float
    """Of its arrivals against its own clock."""


def need_packet(ssrc: int, need: DelayNeed) -> Application:
    """Return the APP packet of the node `ssrc`; what its fields cannot say is the nearest."""
    words = need_words(need.needed_ns, need.playing_ns, need.uncertainty_ns, need.skew_ppm)
    return Application(ssrc, 0, NEED_NAME, _NEED.pack(*words))


def need_words(
    needed_ns: int, playing_ns: int, uncertainty_ns: int | None, skew_ppm: float
) -> tuple[int, int, int, int]:
    """Return the fields of that packet, of those of a `DelayNeed`."""
    uncertainty_us = _UNKNOWN_US if uncertainty_ns is None else uncertainty_ns // 1000
    skew_ppm = min(max(skew_ppm, -_SKEW_MAX_PPM), _SKEW_MAX_PPM)
    return (
        min(max(needed_ns // 1000, 0), _UNKNOWN_US),
        min(max(playing_ns // 1000, 0), _UNKNOWN_US),
        min(max(uncertainty_us, 0), _UNKNOWN_US),
        round(skew_ppm * 1000),
    )


def need_of(packet: Application) -> int | None:
    """Return the playout delay in ns that a node says it needs, or None if it says none."""
    if packet.name != NEED_NAME or len(packet.payload) != _NEED.size:
        return None
    return int(_NEED.unpack(packet.payload)[0]) * 1000


def playing_delay_of(packet: Application) -> int | None:
    """Return the playout delay in ns at which a node plays now, or None if it says none."""
    if packet.name != NEED_NAME or len(packet.payload) != _NEED.size:
        return None
    return int(_NEED.unpack(packet.payload)[1]) * 1000


def delay_packet(ssrc: int, delay_ns: int, start_ns: int) -> Application:
    """Return the APP packet that announces the group's playout delay from `start_ns` on."""
    payload = _DELAY.pack(delay_ns // 1000, 0, rtcp.ntp_of_ns(start_ns))
    return Application(ssrc, 0, DELAY_NAME, payload)


def announced_delay(payload: bytes) -> tuple[int, int] | None:
    """Return delay in ns and NTP time of its begin from a `DELAY_NAME` payload, or None."""
    if len(payload) != _DELAY.size:
        return None
    delay_us, _, start_ntp = _DELAY.unpack(payload)
    return int(delay_us) * 1000, int(start_ntp)
