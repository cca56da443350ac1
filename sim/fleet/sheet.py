"""What nodes find in the packets of a programme, looked at once for all of them."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as js
from node.opus.foreign import reading
from node.opus.packet import has_lbrr, is_plausible
from sim.station.programme import Programme


@lru_cache(maxsize=8)
def packet_sheet(programme: Programme) -> NDArray[np.int64]:
    """Return marks, bytes and what else it reads as, of each packet of a programme.

    The result is (3, packets of the sound) int64, the same for all who ask: only to look at.

    Raises
    ------
    ValueError
        If a packet does not look like Opus to a node.
    """
    found = np.zeros((3, len(programme.payloads)), np.int64)
    samples = programme.packet_ms * 48
    for at, payload in enumerate(programme.payloads):
        data = np.frombuffer(bytearray(payload), np.uint8)
        if not is_plausible(data, 0, data.size, samples) or data.size > js.PAYLOAD_BYTES_MAX:
            raise ValueError(f"packet {at} of the sound, {data.size} bytes, is doubted by nodes")
        flags = has_lbrr(data, 0, data.size) * js.HAS_FEC
        found[:, at] = flags, data.size, reading(data, 0, data.size)
    return found
