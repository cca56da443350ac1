"""Decode what many nodes hear alike once: each distinct (packet, history) of a chunk of time.

Nodes that lost nothing so far all have the same history, so they walk along one shared path. From
its first loss on a node has a history of its own and decodes for itself: nodes come one after the
other, each through a minute of packets, and a packet costs its sound.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.opus.protocol import Decoder

_SNAPSHOT_EVERY: Final = 50
"""Packets between two copies of the decoder on the shared path; a node that leaves it replays so
many at most."""

_KEPT_S: Final = 20
"""Of the shared path so much sound is kept, 5 MB: in a chunk of 10 s a node is no further behind
the first one than that and its own playout delay. One that is decodes for itself, as it would with
a history of its own."""


class _Step:
    """What decoding `payload` gave, and where it led to."""

    __slots__ = ("payload", "snapshot", "sound")

    def __init__(self, payload: bytes, sound: NDArray[np.float32]) -> None:
        self.payload = payload
        self.sound = sound
        self.snapshot: Decoder | None = None


class SharedPath:
    """The packets that nodes without a loss decode, one after the other."""

    def __init__(self, factory: Callable[[int, int], Decoder]) -> None:
        self._factory = factory
        self._steps: dict[int, _Step] = {}
        self._first = 0
        self._samples = 0
        """Of all steps that are kept."""
        self.decoded = 0
        """Packets that were decoded for the path."""
        self.shared = 0
        """Packets that a node took from it."""

    def new_decoder(self, rate_hz: int, channels: int) -> "SharedDecoder":
        """Return a decoder for one node: a factory for `SpeakerNode`."""
        return SharedDecoder(self, self._factory(rate_hz, channels))

    def find(self, at: int) -> _Step | None:
        """Return the step `at`, or None where nobody has been or it is forgotten."""
        return self._steps.get(at)

    @property
    def end(self) -> int:
        """Where nobody has been."""
        return self._first + len(self._steps)

    def add(self, step: _Step, rate_hz: int) -> None:
        """Go on by a step; the oldest go when there are too many."""
        self._steps[self.end] = step
        self._samples += len(step.sound)
        while self._samples > _KEPT_S * rate_hz:
            self._samples -= len(self._steps.pop(self._first).sound)
            self._first += 1


class SharedDecoder:
    """A `Decoder` that follows the shared path as long as it can."""

    def __init__(self, path: SharedPath, decoder: Decoder) -> None:
        self.rate_hz = decoder.rate_hz
        self.channels = decoder.channels
        self._path = path
        self._decoder = decoder
        self._owned = True
        self._behind: list[bytes] = []
        self._at: int | None = 0
        """Steps taken on the shared path; None once it was left."""
        self._kept: SharedDecoder | None = None

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet."""
        self._catch_up()
        return self._decoder.final_range

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Decode one packet into `out`; return its samples or a negative result.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """
        if self._at is None:
            return self._decoder.decode(payload, out)
        data = payload.tobytes()
        if self._at == self._path.end:
            return self._lead(payload, data, out)
        step = self._path.find(self._at)
        if step is None or step.payload != data:  # it began later than the others
            self._leave()
            return self._decoder.decode(payload, out)
        self._path.shared += 1
        self._at += 1
        samples = len(step.sound)
        out[:samples] = step.sound
        self._behind.append(data)
        if step.snapshot is not None:
            self._decoder = step.snapshot
            self._owned = False
            self._behind.clear()
        return samples

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        """Make up `samples`: the shared path ends here for this node.

        out  (samples or more, channels) float32, full scale 1.0
        """
        self._leave()
        return self._decoder.conceal(samples, out)

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        """Decode from in-band FEC: the shared path ends here for this node.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """
        self._leave()
        return self._decoder.decode_fec(payload, out)

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        """Fill a hole up to `payload`: the shared path ends here for this node.

        payload, later  (bytes,) uint8
        out             (n, channels) float32, full scale 1.0
        """
        self._leave()
        return self._decoder.interpolate(payload, hole, out, later=later)

    def remember(self) -> None:
        """Keep this point of the stream for `go_back`."""
        self._kept = self.copy()

    def go_back(self) -> None:
        """Go on from the point kept last, on the shared path again where it was there."""
        if self._kept is None:
            self.reset()
            return
        back = self._kept.copy()
        self._decoder, self._owned = back._decoder, True
        self._behind, self._at = [], back._at

    def reset(self) -> None:
        """Forget the stream; a history of its own from here on."""
        self._leave()
        self._decoder.reset()

    def copy(self) -> "SharedDecoder":
        """Return an independent decoder with the same history."""
        self._catch_up()
        other = SharedDecoder(self._path, self._decoder.copy())
        other._at = self._at
        return other

    def _lead(self, payload: NDArray[np.uint8], data: bytes, out: NDArray[np.float32]) -> int:
        """Go on with the path as the first node that comes here."""
        assert self._at is not None
        self._catch_up()
        samples = self._decoder.decode(payload, out)
        if samples < 0:
            self._at = None
            return samples
        step = _Step(data, out[:samples].copy())
        if self._at % _SNAPSHOT_EVERY == 0:
            step.snapshot = self._decoder.copy()
        self._path.add(step, self.rate_hz)
        self._path.decoded += 1
        self._at += 1
        return samples

    def _leave(self) -> None:
        self._catch_up()
        self._at = None

    def _catch_up(self) -> None:
        """Bring the own decoder to where the path is, by what was not decoded again."""
        if not self._owned:
            self._decoder = self._decoder.copy()
            self._owned = True
        if not self._behind:
            return
        scratch = np.empty((self.rate_hz * 120 // 1000, self.channels), np.float32)
        for data in self._behind:
            self._decoder.decode(np.frombuffer(data, np.uint8), scratch)
        self._behind.clear()
