"""The excitation of one SILK frame: how many pulses, where, how large (RFC 6716, 4.2.7.8)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.range_decoder import RangeDecoder, rc_icdf
from node.opus.silk import state as f

_BLOCK: Final = 16
_MORE_BITS: Final = 17
_LOW_BITS_MAX: Final = 10


@inner_kernel("void(RangeDecoder, int64[::1], int64)")
def _parse_signs(rc: RangeDecoder, scratch: NDArray[np.int64], blocks: int) -> None:
    """Read a sign for each pulse that is not zero (4.2.7.8.5)."""
    table = t.SIGN + 14 * (2 * scratch[f.SIGNAL] + scratch[f.OFFSET_TYPE])
    for block in range(blocks):
        count = scratch[f.BLOCKS + 2 * block]
        if count > 0 or scratch[f.BLOCKS + 2 * block + 1] > 0:
            row = table + 2 * min(count, 6)
            for i in range(f.PULSES + _BLOCK * block, f.PULSES + _BLOCK * (block + 1)):
                if scratch[i] > 0 and rc_icdf(rc, t.ICDF, row, 8) == 0:
                    scratch[i] = -scratch[i]


@inner_kernel("void(RangeDecoder, int64[::1], int64, int64)")
def _parse_locations(rc: RangeDecoder, scratch: NDArray[np.int64], at: int, count: int) -> None:
    """Share `count` pulses out among 16 places by halves, left before right (4.2.7.8.3).

    Depth first without a stack: before place i, the halves that begin at i are split, the
    largest first. `scratch[at + i]` holds what lies in the part that begins at i.
    """
    for i in range(1, _BLOCK):
        scratch[at + i] = 0
    scratch[at] = count
    for i in range(0, _BLOCK, 2):
        table = t.SHELL_16
        half = 8
        while half >= 1:
            if i % (2 * half) == 0 and scratch[at + i] > 0:
                pulses = scratch[at + i]
                left = rc_icdf(rc, t.ICDF, table + t.SHELL_OFFSETS[pulses], 8)
                scratch[at + i] = left
                scratch[at + i + half] = pulses - left
            half >>= 1
            table -= t.SHELL_16 - t.SHELL_8


@inner_kernel("void(RangeDecoder, int64[::1], int64)")
def parse_excitation(
    rc: RangeDecoder,
    scratch: NDArray[np.int64],
    frame_samples: int,
) -> None:
    """Read the pulses into scratch[PULSES]: signed, `frame_samples` rounded up to blocks of 16.

    scratch  (SCRATCH_SIZE,) int64; PULSES, signed counts
    """
    signal = scratch[f.SIGNAL]
    level = rc_icdf(rc, t.ICDF, t.RATE_LEVEL + 9 * (signal >> 1), 8)
    blocks = (frame_samples + _BLOCK - 1) // _BLOCK
    for block in range(blocks):
        low_bits = 0
        count = rc_icdf(rc, t.ICDF, t.PULSES + 18 * level, 8)
        while count == _MORE_BITS:
            low_bits += 1
            # Level 10 is level 9 without its first symbol: no eleventh low bit.
            last = 1 if low_bits == _LOW_BITS_MAX else 0
            count = rc_icdf(rc, t.ICDF, t.PULSES + 18 * 9 + last, 8)
        scratch[f.BLOCKS + 2 * block] = count
        scratch[f.BLOCKS + 2 * block + 1] = low_bits
    for block in range(blocks):
        at = f.PULSES + _BLOCK * block
        if scratch[f.BLOCKS + 2 * block] > 0:
            _parse_locations(rc, scratch, at, scratch[f.BLOCKS + 2 * block])
        else:
            scratch[at : at + _BLOCK] = 0
    for block in range(blocks):
        low_bits = scratch[f.BLOCKS + 2 * block + 1]
        if low_bits > 0:
            for i in range(f.PULSES + _BLOCK * block, f.PULSES + _BLOCK * (block + 1)):
                for _ in range(low_bits):
                    scratch[i] = 2 * scratch[i] + rc_icdf(rc, t.ICDF, t.LSB, 8)
    _parse_signs(rc, scratch, blocks)
