"""Time-frequency resolution of each band (RFC 6716, section 4.3.4.5)."""

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.opus.celt.layout import TF
from node.opus.celt.tables_celt import TF_ADJUST
from node.opus.range_decoder import BEGIN, END, rc_bit_logp, rc_tell


@kernel("void(int64[::1], uint8[::1], int64[::1], int64, int64, int64, int64)")
def decode_resolution(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    start: int,
    end: int,
    transient: int,
    lm: int,
) -> None:
    """Set `plan[TF + band]`: > 0 finer in frequency, < 0 finer in time."""
    frame_bits = (rc[END] - rc[BEGIN]) * 8
    logp = 2 if transient else 4
    selectable = lm > 0 and rc_tell(rc) + logp + 1 <= frame_bits
    if selectable:
        frame_bits -= 1
    change = 0
    changed = 0
    for band in range(start, end):
        if rc_tell(rc) + logp <= frame_bits:
            change ^= rc_bit_logp(rc, data, logp)
            changed |= change
        plan[TF + band] = change
        logp = 4 if transient else 5
    row = 8 * lm + 4 * transient
    if selectable and TF_ADJUST[row + changed] != TF_ADJUST[row + 2 + changed]:
        row += 2 * rc_bit_logp(rc, data, 1)
    for band in range(start, end):
        plan[TF + band] = TF_ADJUST[row + plan[TF + band]]
