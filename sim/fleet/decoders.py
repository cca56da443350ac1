"""Many streams at once, for the simulator: a batch is an array of the decoder's records.

One call decodes one packet of each stream of a part without Python in between, so that parts on
different threads run side by side: a call per packet would give the interpreter's lock back and
forth more often than it decodes.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.kernel.record import Record, Records, new, whole
from node.opus.decoder import RATES_HZ, OpusState
from node.opus.steps import DECODE, reset_stream, step_stream
from node.opus.stream import SPARE_ROWS, Room, Stream

STREAMS_MAX: Final = 100_000
"""45 kB each."""

_Rooms = tuple[Records[Room], NDArray[np.float32]]
"""A room of stream.py and `spare`."""


class _Packets(Record):
    """One packet for a stream."""

    begin: int = whole("bytes", "Where it begins among the bytes of all.")
    length: int = whole("bytes", "From there on.")
    result: int = whole("", "Samples of its sound, or a negative result.")


@kernel(
    "void(Stream[::1], Room[::1], float32[:, ::1], uint8[::1], _Packets[::1], float32[:, :, ::1])"
)
def _decode_rows(
    streams: Records[Stream],
    rooms: Records[Room],
    spare: NDArray[np.float32],
    data: NDArray[np.uint8],
    packets: Records[_Packets],
    outs: NDArray[np.float32],
) -> None:
    """Decode the next packet of each stream, whose bytes are in `data`."""
    for i in range(packets.shape[0]):
        own = packets[i]
        packet = data[own.begin : own.begin + own.length]
        own.result = step_stream(streams[i], rooms[0], spare, packet, DECODE, outs[i])


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
        self._streams = new(Stream, streams)
        self._rooms: list[_Rooms] = [
            (new(Room), np.zeros((SPARE_ROWS, channels), np.float32)) for _ in range(parts)
        ]
        edges = [streams * part // parts for part in range(parts + 1)]
        self._slices = [slice(*pair) for pair in pairwise(edges)]
        reset_stream(self._streams, rate_hz // 1000, channels)

    def state(self, stream: int) -> OpusState:
        """Return a copy of one stream's state, which `OpusDecoder.restore` takes."""
        return OpusState(self._streams[stream : stream + 1].copy())

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
        streams, channels = len(self._streams), self._rooms[0][1].shape[1]
        if len(payloads) != streams or outs.shape[::2] != (streams, channels):
            raise ValueError(
                f"{len(payloads)} payloads, outs {outs.shape}: must be {streams}, "
                f"and ({streams}, n, {channels})"
            )
        packets = new(_Packets, streams)
        packets["length"] = [one.size for one in payloads]
        packets["begin"][1:] = np.cumsum(packets["length"])[:-1]
        data = np.concatenate(payloads)

        def decode_part(part: slice, rooms: _Rooms) -> None:
            _decode_rows(self._streams[part], *rooms, data, packets[part], outs[part])

        for _ in run(decode_part, self._slices, self._rooms):
            pass
        return packets["result"].copy()
