"""What Python calls of a source's kernels: one record, its payloads, its sound.

A record is handed over as an array of one, which costs less than a record by itself.
"""

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.kernel.record import Records
from node.source import playback, playback_adaptive
from node.source.state import Source


@kernel("int64(Source[::1], uint8[:, ::1], uint8[::1], int64)")
def receive(
    source: Records[Source],
    payloads: NDArray[np.uint8],
    data: NDArray[np.uint8],
    now_ns: int,
) -> int:
    """See `playback.receive`.

    payloads  (slots, PAYLOAD_BYTES_MAX) uint8, bytes of what is held
    data      (bytes,) uint8, the datagram
    """
    return playback.receive(source[0], data, payloads, now_ns)


@kernel("int64(Source[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], int64)")
def advance(
    source: Records[Source],
    fifo: NDArray[np.float32],
    table: NDArray[np.float32],
    out: NDArray[np.float32],
    presentation_ns: int,
) -> int:
    """See `playback.advance`.

    fifo   (FIFO_SAMPLES, channels) float32, full scale 1.0
    table  (PHASES, 2 * TAPS) float32, a ratio: of the resampler
    out    (n, channels) float32, full scale 1.0
    """
    return playback.advance(source[0], fifo, table, out, presentation_ns)


@kernel("int64(Source[::1], int64, int64)")
def is_due(source: Records[Source], presentation_ns: int, n: int) -> int:
    """See `playback.is_due`."""
    return playback.is_due(source[0], presentation_ns, n)


@kernel("void(Source[::1])")
def reset_steering(source: Records[Source]) -> None:
    """See `playback_adaptive.reset_steering`."""
    playback_adaptive.reset_steering(source[0])


@kernel("int64(Source[::1], float32[:, ::1], float32[:, ::1], int64)")
def advance_adaptive(
    source: Records[Source],
    fifo: NDArray[np.float32],
    out: NDArray[np.float32],
    presentation_ns: int,
) -> int:
    """See `playback_adaptive.advance`.

    fifo  (FIFO_SAMPLES, channels) float32, full scale 1.0
    out   (n, channels) float32, full scale 1.0
    """
    return int(playback_adaptive.advance(source[0], fifo, out, presentation_ns))


@kernel("void(Source[::1], float32[:, ::1], int64)")
def finish_adaptive(source: Records[Source], fifo: NDArray[np.float32], action: int) -> None:
    """See `playback_adaptive.finish`.

    fifo  (FIFO_SAMPLES, channels) float32, full scale 1.0
    """
    playback_adaptive.finish(source[0], fifo, action)


@kernel("int64(Source[::1], int64, int64)")
def is_due_adaptive(source: Records[Source], presentation_ns: int, n: int) -> int:
    """See `playback_adaptive.is_due`."""
    return int(playback_adaptive.is_due(source[0], presentation_ns, n))
