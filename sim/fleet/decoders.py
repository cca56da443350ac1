"""Many streams at once, for the simulator: a batch is one more axis of the decoder's two arrays.

One call decodes one packet of each stream of a part without Python in between, so that parts on
different threads run side by side: a call per packet would give the interpreter's lock back and
forth more often than it decodes.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import stream as s
from node.opus.celt.layout import WORK_SIZE
from node.opus.decoder import RATES_HZ, OpusState
from node.opus.steps import DECODE, decode_stream, reset_stream

STREAMS_MAX: Final = 100_000
"""45 kB each."""

_Room = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]
"""`room`, `work`, `spare` and `silence` of stream.py."""


@inner_kernel(
    "void(int64[:, ::1], float32[:, ::1], int64[::1], float32[::1], float32[:, ::1], uint8[::1],"
    " uint8[::1], int64[::1], int64[::1], float32[:, :, ::1], int64[::1])"
)
def _decode_rows(
    ints: NDArray[np.int64],
    floats: NDArray[np.float32],
    room: NDArray[np.int64],
    work: NDArray[np.float32],
    spare: NDArray[np.float32],
    silence: NDArray[np.uint8],
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    sizes: NDArray[np.int64],
    outs: NDArray[np.float32],
    results: NDArray[np.int64],
) -> None:
    """Decode data[begins[i] : begins[i] + sizes[i]] as the next packet of each stream i."""
    for i in range(begins.size):
        results[i] = decode_stream(
            ints[i],
            floats[i],
            room,
            work,
            spare,
            silence,
            data,
            begins[i],
            sizes[i],
            DECODE,
            outs[i],
        )


class OpusBatch:
    """The decoders of many streams of one output rate and channel count.

    Parameters
    ----------
    rate_hz, channels : int
        As for `OpusDecoder`.
    streams : int
        How many, 1 to STREAMS_MAX.
    parts : int
        Into how many parts each call is cut: as many as there are threads.

    Raises
    ------
    ValueError
        If one of these is outside its range.
    """

    def __init__(self, rate_hz: int, channels: int, streams: int, *, parts: int = 1) -> None:
        if rate_hz not in RATES_HZ or channels not in (1, 2):
            raise ValueError(f"rate_hz is {rate_hz}, channels is {channels}: not as OpusDecoder's")
        if not 1 <= parts <= streams <= STREAMS_MAX:
            raise ValueError(
                f"streams is {streams}, parts is {parts}: at most {STREAMS_MAX}, and 1 to streams"
            )
        self._ints = np.zeros((streams, s.INTS_SIZE), np.int64)
        self._floats = np.zeros((streams, s.FLOATS_SIZE), np.float32)
        self._rooms: list[_Room] = [
            (
                np.zeros(s.ROOM_SIZE, np.int64),
                np.zeros(WORK_SIZE, np.float32),
                np.zeros((s.SPARE_ROWS, channels), np.float32),
                np.full(2, 0xFF, np.uint8),
            )
            for _ in range(parts)
        ]
        edges = [streams * part // parts for part in range(parts + 1)]
        self._slices = [slice(*pair) for pair in pairwise(edges)]
        for ints, floats in zip(self._ints, self._floats, strict=True):
            reset_stream(ints, floats, rate_hz // 1000, channels)

    def state(self, stream: int) -> OpusState:
        """Return a copy of one stream's state, which `OpusDecoder.restore` takes."""
        return OpusState(self._ints[stream].copy(), self._floats[stream].copy())

    def decode(
        self,
        payloads: Sequence[NDArray[np.uint8]],
        outs: NDArray[np.float32],
        *,
        run: Callable[..., Iterable[None]] = map,
    ) -> NDArray[np.int64]:
        """Decode the next packet of every stream; return their samples or negative results.

        Parameters
        ----------
        payloads : sequence of (bytes,) uint8
            The bytes of one packet for each stream.
        outs : (streams, n, channels) float32, C-contiguous
            Full scale 1.0; n is the room for the longest packet.
        run : callable like `map`
            `ThreadPoolExecutor.map` decodes the parts side by side.

        Returns
        -------
        (streams,) int64
            Samples of each packet, or a negative result.

        Raises
        ------
        ValueError
            If there is not one payload and one output for each stream.
        """
        streams, channels = self._ints.shape[0], self._rooms[0][2].shape[1]
        if len(payloads) != streams or outs.shape[::2] != (streams, channels):
            raise ValueError(
                f"{len(payloads)} payloads, outs {outs.shape}: must be {streams}, "
                f"and ({streams}, n, {channels})"
            )
        sizes = np.array([one.size for one in payloads], np.int64)
        begins = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
        data = np.concatenate(payloads)
        results = np.zeros(len(payloads), np.int64)

        def decode_part(part: slice, rooms: _Room) -> None:
            room, work, spare, silence = rooms
            ints, floats = self._ints[part], self._floats[part]
            _decode_rows(
                *(ints, floats, room, work, spare, silence),
                *(data, begins[part], sizes[part], outs[part], results[part]),
            )

        for _ in run(decode_part, self._slices, self._rooms):
            pass
        return results
