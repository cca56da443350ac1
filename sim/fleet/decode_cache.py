"""Decode once for all who heard the same: for the simulator's thousands of nodes on one stream.

What a decoder makes of a packet depends on the packet and on everything it decoded before. So
histories form a tree, and each step from one to the next is decoded once:

    start --packet 1--> h1 --packet 2--> h2 --packet 3--> h3        nodes that lost nothing
                          `--loss------> h2' --packet 3--> h3'      nodes that lost packet 2

A history lives as long as a decoder stands on it or behind it.
"""

import weakref
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.opus.decoder import INTERPOLATE, OpusDecoder, OpusState
from node.opus.protocol import BUFFER_TOO_SMALL
from node.opus.steps import CONCEAL, DECODE, RECOVER

HISTORIES_MAX: Final = 2000
"""Steps kept for decoders that lag behind: about 45 kB each. Later ones decode for themselves."""

_LONGEST_MS: Final = 120
Step = tuple[int, bytes, int, int, bytes]
"""Task, payload, samples; and for a hole its length and the packet after its end."""


class _History:
    """A decoder's state after some packets, and the steps that were taken from there."""

    __slots__ = ("__weakref__", "result", "sound", "state", "steps")

    def __init__(self, state: OpusState, result: int, sound: NDArray[np.float32]) -> None:
        self.state = state
        self.result = result
        self.sound = sound
        self.steps: dict[Step, _History] = {}


class DecodeCache:
    """The tree of histories of all decoders of one output rate and channel count.

    Parameters
    ----------
    rate_hz, channels : int
        As for `OpusDecoder`.
    histories_max : int
        Steps kept for decoders that lag behind.
    """

    def __init__(self, rate_hz: int, channels: int, *, histories_max: int = HISTORIES_MAX) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.decoded = 0
        """Steps that were decoded; the others were taken from the tree."""
        self._worker = OpusDecoder(rate_hz, channels)
        self._out = np.zeros((rate_hz * _LONGEST_MS // 1000, channels), np.float32)
        self._start = _History(self._worker.state(), 0, self._out[:0])
        self._known: deque[weakref.ref[_History]] = deque()
        self._histories_max = histories_max

    def decoder(self) -> "SharedDecoder":
        """Return a decoder at the start of a stream."""
        return SharedDecoder(self, self._start)

    def take(self, history: _History, step: Step) -> _History:
        """Return where `step` leads from `history`, decoding only if nobody has been there."""
        found = history.steps.get(step)
        if found is None:
            found = history.steps[step] = self._decode(history, step)
            self._known.append(weakref.ref(history))
            if len(self._known) > self._histories_max:
                oldest = self._known.popleft()()
                if oldest is not None:
                    oldest.steps.clear()
        return found

    def start(self) -> _History:
        """Return the history of a decoder that has decoded nothing."""
        return self._start

    def _decode(self, history: _History, step: Step) -> _History:
        task, payload, samples, hole, later = step
        worker = self._worker
        worker.restore(history.state)
        data = np.frombuffer(payload, np.uint8)
        if task == DECODE:
            result = worker.decode(data, self._out)
        elif task == CONCEAL:
            result = worker.conceal(samples, self._out)
        elif task == INTERPOLATE:
            result = worker.interpolate(data, hole, self._out[:samples], later=later)
        else:
            result = worker.decode_fec(data, self._out[:samples])
        self.decoded += 1
        return _History(worker.state(), result, self._out[: max(result, 0)].copy())


class SharedDecoder:
    """A decoder whose steps others may have taken before it; the sound is the same."""

    def __init__(self, cache: DecodeCache, history: _History) -> None:
        self.rate_hz = cache.rate_hz
        self.channels = cache.channels
        self._cache = cache
        self._history = history
        self._kept = history

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet, 0 after concealment (32 bits)."""
        return self._history.state.final_range

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Decode one Opus packet into `out`; return its samples or a negative result."""
        return self._take((DECODE, payload.tobytes(), 0, 0, b""), out)

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        """Make up `samples` (a multiple of 2.5 ms) for a lost packet; return them or negative."""
        return self._take((CONCEAL, b"", samples, 0, b""), out)

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Fill `out` with the sound before `payload`, from its in-band FEC; conceal the rest."""
        return self._take((RECOVER, payload.tobytes(), out.shape[0], 0, b""), out)

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        """Fill `out` with the beginning of the hole before `payload`, as `OpusDecoder` does."""
        step = (INTERPOLATE, payload.tobytes(), out.shape[0], hole, later.tobytes())
        return self._take(step, out)

    def remember(self) -> None:
        """Keep this point of the stream for `go_back`."""
        self._kept = self._history

    def go_back(self) -> None:
        """Go on from the point kept last."""
        self._history = self._kept

    def reset(self) -> None:
        """Forget the stream."""
        self._history = self._cache.start()

    def copy(self) -> "SharedDecoder":
        """Return an independent decoder with the same history."""
        other = SharedDecoder(self._cache, self._history)
        other._kept = self._kept
        return other

    def _take(self, step: Step, out: NDArray[np.float32]) -> int:
        if step[0] == CONCEAL and step[2] > out.shape[0]:
            return BUFFER_TOO_SMALL
        reached = self._cache.take(self._history, step)
        if reached.result > out.shape[0]:
            return BUFFER_TOO_SMALL
        self._history = reached
        if reached.result > 0:
            out[: reached.result] = reached.sound
        return reached.result
