"""Where sound begins that has no mark of its own: by frames that follow each other to the byte.

```
 … FLAC │ ffe2 … ├ length ┤ ffe2 … ├ length ┤ ffe2 …
        └── MPEG audio (ISO/IEC 11172-3, 2.4.1.3), AAC in ADTS (14496-3, 1.A.2), packets of 188
```
"""

import re
from typing import Final

_FRAMES_MIN: Final = 4
"""By chance so many follow each other once in 2^48 places."""

_SYNC: Final = re.compile(rb"\xff[\xe2-\xe7\xf0-\xf7\xf8-\xff][\x00-\xef]")
_PACKETS: Final = re.compile(rb"G(?:.{187}G){4}", re.DOTALL)
"""Of a transport stream (ISO/IEC 13818-1, 2.4.3.2)."""
_PACKET: Final = b"G"

_SHORT_KBPS: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS: Final = {
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _SHORT_KBPS,
    (False, 3): _SHORT_KBPS,
}
"""By whether it is MPEG-1, and layer."""
_RATES_HZ: Final = (44_100, 48_000, 32_000)
_ADTS_HEAD_BYTES: Final = 7
_ADTS_RATES: Final = 13


def chain_at(data: bytes) -> bytes:
    """Return what each frame of the chain has in common that `data` begins with; none: empty."""
    if _PACKETS.match(data):
        return _PACKET
    return _common(data) if _is_chain(data, 0) else b""


def chain_begin(data: bytes, begin: int, end: int, *, but: bytes = b"") -> int:
    """Return where in [begin, end) a chain of frames begins in `data`; -1 where none does.

    One that has `but` in common (of `chain_at`) does not count.
    """
    packets = None if but == _PACKET else _PACKETS.search(data, begin)
    first = packets.start() if packets is not None and packets.start() < end else end
    for found in _SYNC.finditer(data, begin, min(first + 2, len(data))):
        at = found.start()
        if at < first and _common(found[0]) != but and _is_chain(data, at):
            return at
    return first if first < end else -1


def _is_chain(data: bytes, at: int) -> bool:
    heads = [data[at : at + _ADTS_HEAD_BYTES]]
    for _ in range(_FRAMES_MIN - 1):
        at += _frame_bytes(heads[-1])
        heads.append(data[at : at + _ADTS_HEAD_BYTES])
    return all(map(_frame_bytes, heads)) and len(set(map(_common, heads))) == 1


def _common(head: bytes) -> bytes:
    """Return version, layer and rate of a frame."""
    return bytes((head[1], head[2] & 0x0C))


def _frame_bytes(head: bytes) -> int:
    """Return how long the frame is that begins with `head`; 0 where none does."""
    if len(head) < _ADTS_HEAD_BYTES or not _SYNC.match(head):
        return 0
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        is_one = (head[2] >> 2 & 15) < _ADTS_RATES and length > _ADTS_HEAD_BYTES
        return length if is_one else 0
    version, layer, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 2 & 3
    which, padding = head[2] >> 4, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate == 3 or not which:
        return 0
    rate_hz = _RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = _KBPS[version == 3, layer][which - 1] * 1000
    if layer == 1:
        return 4 * (12 * bits // rate_hz + padding)
    return (72 if layer == 3 and version != 3 else 144) * bits // rate_hz + padding
