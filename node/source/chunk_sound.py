"""From the jitter buffer's decision about a chunk to its sound in the FIFO."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as js
from node.jitter.buffer import JitterBuffer
from node.jitter.state import Jitter
from node.kernel import kernel
from node.kernel.record import Records
from node.opus.protocol import Decoder
from node.source.state import Playout
from node.units import PACKET_SAMPLES_MAX, RATE_HZ

_CONCEAL_STEP_SAMPLES: Final = RATE_HZ // 400
"""Decoders conceal multiples of 2.5 ms (RFC 6716, section 2.1.4 names the shortest frame)."""


_ANY: Final = 1e9
_GROWTH: Final = 1.6
"""Mean square of made-up sound over that of the made-up sound before it, at most: 2 dB."""


class ChunkSound:
    """Decodes, repairs, leads over to the next packet or conceals: what `playback.advance` wants.

    Parameters
    ----------
    decoder : Decoder
        Of the source.
    buffer : JitterBuffer
        Its state names the chunk; its payloads hold the packets.
    playout : Records[Playout]
        Of the source, an array of one; `filled` is moved on.
    fifo : NDArray[np.float32]
        (samples, channels), filled up to `filled`.
    """

    def __init__(
        self,
        decoder: Decoder,
        buffer: JitterBuffer,
        playout: Records[Playout],
        fifo: NDArray[np.float32],
    ) -> None:
        self.decoder_errors = 0
        self._decoder = decoder
        self._state = buffer.state
        self._slots = buffer.slots
        self._payloads = buffer.payloads
        # A field of an array of records is looked up by name each time: these are read per chunk.
        self._filled: NDArray[np.int64] = playout["filled"]
        self._is_adaptive = bool(buffer.state["mode"][0] == js.ADAPTIVE)
        self._action_samples: NDArray[np.int64] = buffer.state["action_samples"]
        self._action_slot: NDArray[np.int64] = buffer.state["action_slot"]
        self._action_hole: NDArray[np.int64] = buffer.state["action_hole"]
        self._action_media: NDArray[np.int64] = buffer.state["action_media"]
        self._action_next_slot: NDArray[np.int64] = buffer.state["action_next_slot"]
        self._pending_from: NDArray[np.int64] = buffer.state["pending_from"]
        self._lengths: NDArray[np.int64] = buffer.slots["length"]
        self._fifo = fifo
        self._scratch = np.zeros((PACKET_SAMPLES_MAX, fifo.shape[1]), np.float32)
        self._waits_from = js.NONE
        """Media time at which playout began to wait, the decoder's point there kept; or NONE."""
        self._made_up_power = _ANY
        """Mean square of the chunk made up last; any after a received one."""

    def decode(self, action: int) -> None:
        """Append the sound of the chunk just pulled to the FIFO; silence where it has none."""
        state = self._state
        samples = int(self._action_samples[0])
        filled = int(self._filled[0])
        target = self._fifo[filled : filled + samples]
        if self._is_adaptive:
            self._heed_wait(action)
        if action in (js.PLAY, js.FEC):
            slot = int(self._action_slot[0])
            payload = self._payloads[slot, : self._lengths[slot]]
            if action == js.PLAY:
                got = self._decoder.decode(payload, target)
            else:
                got = self._decoder.decode_fec(payload, target)
        elif action == js.CONCEAL and self._action_hole[0] > 0:
            got = self._interpolate(samples, target)
        else:
            got = self._conceal(samples, target)
        if got != samples:
            self.decoder_errors += 1
            target[:] = 0.0
        if action in (js.PLAY, js.FEC):
            self._made_up_power = _ANY
        else:
            self._made_up_power = _bound_power(target, self._made_up_power)
        if action == js.FADE_OUT:
            _fade_out(target, state)
        self._filled[0] = filled + samples

    def _heed_wait(self, action: int) -> None:
        """Take the decoder back when the packet waited for has come after all.

        What was made up meanwhile stood for no packet, and would be in the predictions of SILK
        for 200 ms; without it all that was received sounds as it was sent.
        """
        media = int(self._action_media[0])
        if action in (js.PLAY, js.FEC):
            if action == js.PLAY and media == self._waits_from:
                self._decoder.go_back()
            self._waits_from = js.NONE
        elif media == self._pending_from[0]:
            self._decoder.remember()
            self._waits_from = media

    def _interpolate(self, samples: int, target: NDArray[np.float32]) -> int:
        """Lead over to the held packet that ends the hole; conceal odd lengths."""
        if samples % _CONCEAL_STEP_SAMPLES:
            return self._conceal(samples, target)
        slot = int(self._action_next_slot[0])
        payload = self._payloads[slot, : self._lengths[slot]]
        row = (slot + 1) % self._slots.shape[0]
        sequence, media = self._slots["sequence"], self._slots["media"]
        follows = (
            self._slots["status"][row] == js.HOLDING
            and sequence[row] == sequence[slot] + 1
            and media[row] == media[slot] + self._slots["samples"][slot]
        )
        later = self._payloads[row, : self._lengths[row] if follows else 0]
        hole = int(self._action_hole[0])
        return self._decoder.interpolate(payload, hole, target, later=later)

    def _conceal(self, samples: int, target: NDArray[np.float32]) -> int:
        """Conceal `samples`, also where they are no multiple of 2.5 ms."""
        steps = -(-samples // _CONCEAL_STEP_SAMPLES)
        if steps * _CONCEAL_STEP_SAMPLES == samples:
            return self._decoder.conceal(samples, target)
        got = self._decoder.conceal(steps * _CONCEAL_STEP_SAMPLES, self._scratch)
        target[:] = self._scratch[:samples]
        return min(got, samples)


@kernel("float64(float32[:, ::1], float64)")
def _bound_power(samples: NDArray[np.float32], before: float) -> float:
    """Lower made-up sound that is louder than the made-up sound before it; return its mean square.

    After the end of a tone CELT's concealment repeats its pitch, which dies away, and then fills
    the bands with noise as loud as they were (RFC 6716, 4.4): silence, and a burst after it.
    """
    power: float = 0.0
    for i in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            value = float(samples[i, channel])
            power += value * value
    power /= max(1, samples.shape[0] * samples.shape[1])
    most = before * _GROWTH
    if power <= most:
        return float(power)
    gain = np.float32(np.sqrt(most / power))
    for i in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            samples[i, channel] *= gain
    return float(most)


@kernel("void(float32[:, ::1], Jitter[::1])")
def _fade_out(samples: NDArray[np.float32], states: Records[Jitter]) -> None:
    """Ramp made-up sound linearly to silence; concealed_run tells how far it is."""
    state = states[0]
    n = samples.shape[0]
    end = state.conceal_max + state.fade
    left = end - (state.concealed_run - n)
    for i in range(n):
        weight = np.float32(max(0, left - i)) / np.float32(state.fade)
        for channel in range(samples.shape[1]):
            samples[i, channel] *= weight
