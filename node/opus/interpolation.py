"""Sound for a hole whose end is known: from the sound before it to that of the packet after it.

A jitter buffer that holds the packet after a lost one knows more than libopus's concealment,
which only runs on. On a copy of the stream the hole is concealed and the next packet decoded; its
sound is run backwards (`backward`) and the two are blended (`blend`), in each layer's own domain:
SILK before stereo and resampling, CELT before de-emphasis. The stream itself then conceals step by
step, so that all its state goes on as ever, and the planned sound takes the place of what it made:
as output, and as the history that the next packet is decoded from.

    copy    before │ concealed ........│ next packet │
                   │ run on ──►   ◄── run backwards  │
    stream  before │ planned ..........│ next packet, from the better history
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.opus import stream as s
from node.opus.backward import BACK_MAX, BACKWARD_SIZE, NEXT_MAX
from node.opus.blend import BLEND_SIZE
from node.opus.celt.interpolation import (
    aim_noise,
    overlap_next,
    play_celt,
    take_celt,
)
from node.opus.celt.layout import DE_EMPHASIS, ENERGY, HOLE, LOSS_PERIOD, OVERLAP
from node.opus.celt.lost_energy import guess_energies
from node.opus.celt.tables_celt import BANDS
from node.opus.concealment import frame_lm
from node.opus.filling import fill
from node.opus.packet import (
    MODE_CELT,
    MODE_HYBRID,
    MODE_SILK,
    WIDEBAND,
    packet_samples,
    toc_bandwidth,
    toc_channels,
    toc_mode,
)
from node.opus.silk import state as f
from node.opus.silk.interpolation import end_hole, is_louder, play_silk, take_silk
from node.opus.silk.state import STATE_SIZE
from node.opus.steps import CONCEAL, DECODE, PEAK_MAX, decode_stream

HOLE_MAX_MS: Final = 60
"""Longer holes are concealed until so much is left."""
_FRONT_MAX: Final = 960 + (HOLE_MAX_MS + 40) * 48
_MARGIN: Final = OVERLAP + 240
"""So far beyond the hole must the sound before it run on, at 48 kHz."""
_PACKET_MAX: Final = {MODE_SILK: 960, MODE_HYBRID: 960, MODE_CELT: 1920}
"""Samples of the longest packet whose whole sound lies in the layer's history."""
_STEP_MIN: Final = {MODE_SILK: 960, MODE_HYBRID: 960, MODE_CELT: 480}
"""Samples of the shortest frame that is filled: shorter ones came out no better than concealed."""
_CELT_ORDER: Final = 24
_CELT_PIECE: Final = 480
_CELT_PERIOD: Final = 480
_AFTER_MIN: Final = 720
"""In so much sound, at 48 kHz, the period of a low voice shows; shorter frames need a second."""
_PAYLOAD_MAX: Final = 1500
_EMPTY_BYTES: Final = 2
"""A payload of no more than that has an empty frame: silence, or concealment."""

Arrays = tuple[NDArray[np.int64], NDArray[np.float32]]
"""`ints` and `floats` of a stream."""
Room = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]
"""`room`, `work`, `spare` and `silence`."""


class Interpolation:
    """What it takes to fill holes, beside a decoder's own arrays; one for each decoder.

    Parameters
    ----------
    channels : int
        Of the output.
    """

    def __init__(self, channels: int) -> None:
        self.left = 0
        """Samples at 48 kHz of the planned hole that have not been played yet."""
        self._hole = 0
        self._sound = np.zeros((2, HOLE_MAX_MS * 48 + OVERLAP), np.float32)
        self._planned = np.zeros(2, np.int64)
        self._before: Arrays = np.zeros(s.INTS_SIZE, np.int64), np.zeros(s.FLOATS_SIZE, np.float32)
        self._after: Arrays = np.zeros(s.INTS_SIZE, np.int64), np.zeros(s.FLOATS_SIZE, np.float32)
        self._run_on: Arrays = np.zeros(s.INTS_SIZE, np.int64), np.zeros(s.FLOATS_SIZE, np.float32)
        self._silk_after = np.zeros(STATE_SIZE, np.int64)
        self._energies_after = np.zeros(2 * BANDS, np.float32)
        self._energies_lost = np.zeros(2 * BANDS, np.float32)
        self._earlier = np.zeros(STATE_SIZE, np.int64)
        self._memory = np.zeros(2, np.float32)
        self._front = np.zeros((2, _FRONT_MAX), np.float32)
        self._next = np.zeros((2, NEXT_MAX), np.float32)
        self._back = np.zeros(BACK_MAX, np.float32)
        self._work = np.zeros(BACKWARD_SIZE + BLEND_SIZE, np.float32)
        self._out = np.zeros((1920, channels), np.float32)
        self._payload = np.zeros(_PAYLOAD_MAX, np.uint8)
        self._payload_bytes = 0
        self._nothing = np.zeros(2, np.uint8)

    def plan(
        self,
        stream: Arrays,
        room: Room,
        payload: NDArray[np.uint8],
        later: NDArray[np.uint8],
        hole: int,
    ) -> bool:
        """Make the sound of the whole `hole`, in samples at 48 kHz; return whether that went well.

        stream   before the hole; it stays as it is
        payload  (n,) uint8, bytes of the packet after the hole
        later    (n,) uint8, bytes of the packet after that, or none
        """
        self.left = 0
        ints = stream[0]
        mode, khz = int(ints[s.MODE_BEFORE]), int(ints[s.OUTPUT_KHZ])
        if not self._can_fill(ints, payload, hole):
            return False
        step = _step(ints)
        _copy(self._before, stream)
        _copy(self._run_on, stream)
        begin = known = _take(stream, 960, self._front, 0)
        for at in range(0, hole + _MARGIN, step):
            if at == hole:
                _copy(self._after, self._run_on)
            _advance(self._run_on, room, self._nothing, CONCEAL, self._out[: step * khz // 48])
            known += _take(self._run_on, step, self._front, known)
            if at == 0:
                period = _period(stream, self._run_on)
        count = self._decode_after(room, payload, later, hole)
        if count == 0 or not self._fill(mode, begin, hole, count, period):
            return False
        self._payload[: payload.size] = payload
        self._payload_bytes = payload.size
        self.left = self._hole = hole
        self._memory[:] = stream[1][s.PAST + DE_EMPHASIS : s.PAST + DE_EMPHASIS + 2]
        return True

    def play(self, stream: Arrays, room: Room, out: NDArray[np.float32]) -> int:
        """Go on with the stream by the next part of the plan; return the rows of `out` filled.

        out  (n, channels) float32, full scale 1.0; n whole steps of the plan
        """
        ints, floats = stream
        khz, mode, step = int(ints[s.OUTPUT_KHZ]), int(ints[s.MODE_BEFORE]), _step(ints)
        rows = step * khz // 48
        for at in range(0, out.shape[0], rows):
            part = out[at : at + rows]
            played = self._hole - self.left
            self._earlier[:] = ints[s.SILK : s.SILK + STATE_SIZE]
            if mode == MODE_HYBRID:
                along = (played + step / 2) / self._hole
                before = self._before[1][s.PAST + ENERGY : s.PAST + ENERGY + 2 * BANDS]
                after = self._energies_after
                aim_noise(ints[s.CELT :], floats[s.PAST :], before, after, along)
            _advance(stream, room, self._nothing, CONCEAL, part)
            if mode == MODE_CELT:
                play_celt(
                    floats[s.PAST :], self._sound, played, step, self._memory, 48 // khz, part
                )
            else:
                rate_khz = int(ints[s.SILK + f.CHANNELS + f.RATE_KHZ])
                play_silk(
                    ints[s.SILK : s.SILK + STATE_SIZE], self._earlier, room[0][s.SCRATCH :],
                    self._sound, self._planned, played * rate_khz // 48, step * rate_khz // 48,
                    room[2][s.LOW : s.LOW + rows], part,
                )  # fmt: skip
            np.clip(part, -PEAK_MAX, PEAK_MAX, out=part)  # of what damaged packets become
            self.left -= step
        if self.left == 0:
            self._finish(stream, room, mode)
        return int(out.shape[0])

    def fits(self, stream: Arrays, hole: int, rows: int) -> bool:
        """Return whether `rows` at the output's rate are whole steps, and no more than `hole`."""
        khz = int(stream[0][s.OUTPUT_KHZ])
        return rows > 0 and rows * 48 % (khz * _step(stream[0])) == 0 and rows * 48 <= hole * khz

    def copy_from(self, other: "Interpolation") -> None:
        """Go on with the plan of another decoder of as many channels."""
        self.left, self._hole = other.left, other._hole
        self._payload_bytes = other._payload_bytes
        if self.left == 0:
            return
        _copy(self._before, other._before)
        for mine, theirs in (
            (self._sound, other._sound),
            (self._planned, other._planned),
            (self._silk_after, other._silk_after),
            (self._energies_after, other._energies_after),
            (self._energies_lost, other._energies_lost),
            (self._memory, other._memory),
            (self._next, other._next),
            (self._payload, other._payload),
        ):
            np.copyto(mine, theirs)

    def _can_fill(self, ints: NDArray[np.int64], payload: NDArray[np.uint8], hole: int) -> bool:
        mode, step = int(ints[s.MODE_BEFORE]), _step(ints)
        if mode not in _PACKET_MAX or not _EMPTY_BYTES < payload.size <= _PAYLOAD_MAX:
            return False
        if step < _STEP_MIN[mode] or not 0 < hole <= HOLE_MAX_MS * 48 or hole % step != 0:
            return False
        return self._fits_stream(ints, payload)

    def _fits_stream(self, ints: NDArray[np.int64], payload: NDArray[np.uint8]) -> bool:
        """Return whether the packet goes on in the same mode, at the same rate, and is short."""
        mode, toc = int(ints[s.MODE_BEFORE]), int(payload[0])
        samples = packet_samples(payload, 0, payload.size)
        if toc_mode(toc) != mode or not 0 < samples <= _PACKET_MAX[mode]:
            return False
        if mode == MODE_CELT:
            return True
        rate_khz = 8 + 4 * min(toc_bandwidth(toc), WIDEBAND)
        return bool(rate_khz == ints[s.SILK_KHZ] and toc_channels(toc) == ints[s.SILK_CHANNELS])

    def _guess_energies(self, room: Room, payload: NDArray[np.uint8], hole: int) -> bool:
        """Give `after` the last lost frame's likeliest energies; return False for a bad packet."""
        self._after[0][s.CELT + HOLE] = 0  # its energies are guessed here, and once is enough
        _copy(self._run_on, self._after)
        ints, floats = self._run_on
        khz = int(ints[s.OUTPUT_KHZ])
        samples = packet_samples(payload, 0, payload.size)
        if _advance(self._run_on, room, payload, DECODE, self._out[: samples * khz // 48]) < 0:
            return False
        frame = int(ints[s.FRAME_SAMPLES]) * 48 // khz
        guess_energies(
            self._before[1][s.PAST :], floats[s.PAST + ENERGY : s.PAST + ENERGY + 2 * BANDS],
            self._energies_lost, frame_lm(frame, 48), max(hole // frame, 1), samples // frame,
        )  # fmt: skip
        self._after[1][s.PAST + ENERGY : s.PAST + ENERGY + 2 * BANDS] = self._energies_lost
        return True

    def _decode_after(
        self, room: Room, payload: NDArray[np.uint8], later: NDArray[np.uint8], hole: int
    ) -> int:
        """Decode what follows the hole into `next`; return how many samples are known, or 0."""
        ints, floats = self._after
        khz = int(ints[s.OUTPUT_KHZ])
        samples = packet_samples(payload, 0, payload.size)
        if ints[s.MODE_BEFORE] != MODE_SILK and not self._guess_energies(room, payload, hole):
            return 0
        if _advance(self._after, room, payload, DECODE, self._out[: samples * khz // 48]) < 0:
            return 0
        count = _take(self._after, samples, self._next, 0)
        self._silk_after[:] = ints[s.SILK : s.SILK + STATE_SIZE]
        self._energies_after[:] = floats[s.PAST + ENERGY : s.PAST + ENERGY + 2 * BANDS]
        if samples >= _AFTER_MIN:
            return count
        if later.size <= _EMPTY_BYTES or not self._fits_stream(ints, later):
            return 0
        samples = packet_samples(later, 0, later.size)
        if samples > NEXT_MAX - count:  # its newest sound alone would not follow on the first
            return 0
        if _advance(self._after, room, later, DECODE, self._out[: samples * khz // 48]) < 0:
            return 0
        return int(count + _take(self._after, samples, self._next, count))

    def _fill(self, mode: int, begin: int, hole: int, count: int, period: int) -> bool:
        """Fill the hole of each channel that has sound on both sides; return whether all went."""
        ints = self._before[0]
        rate_khz, order, piece, first = 48, _CELT_ORDER, _CELT_PIECE, OVERLAP
        channels = int(ints[s.OUTPUT_CHANNELS])
        self._planned[:] = 0
        self._planned[:channels] = 1
        if mode != MODE_CELT:
            block = s.SILK + f.CHANNELS
            rate_khz, order = int(ints[block + f.RATE_KHZ]), int(ints[block + f.ORDER])
            piece, first = 60 if rate_khz == 8 else 120, 0
            has_side = int(ints[s.SILK + f.CODED_CHANNELS]) == 2
            for one in (ints[s.SILK :], self._silk_after):
                has_side = has_side and one[f.MID_ONLY_BEFORE] == 0
            self._planned[1] = has_side
        is_short = _step(ints) < _AFTER_MIN
        wanted = hole * rate_khz // 48 + first
        for channel in range(2):
            if self._planned[channel] and not fill(
                self._front[channel], begin, wanted, self._next[channel], first, count - first,
                rate_khz, order, period, piece, self._work, self._back, self._sound[channel],
                is_short,
            ):  # fmt: skip
                return False
        return True

    def _finish(self, stream: Arrays, room: Room, mode: int) -> None:
        """Leave the stream so that the next packet goes on from the planned sound."""
        ints, floats = stream
        past = floats[s.PAST :]
        if mode == MODE_CELT:
            channels = int(ints[s.OUTPUT_CHANNELS])
            overlap_next(ints[s.CELT :], past, room[1], self._sound, self._hole, channels)
        else:
            self._end_silk(stream, room)
        ints[s.CELT + HOLE] = 0
        if mode != MODE_SILK:
            past[ENERGY : ENERGY + 2 * BANDS] = self._energies_lost

    def _end_silk(self, stream: Arrays, room: Room) -> None:
        """Let the next frame follow as if nothing had been lost, unless it came out too loud.

        Filters not widened may ring on a history that does not quite fit: try it on a copy.
        """
        before = self._before[0][s.SILK : s.SILK + STATE_SIZE]
        _copy(self._after, stream)
        for one in (self._after, stream):
            silk = one[0][s.SILK : s.SILK + STATE_SIZE]
            if one is stream and self._is_loud(room):
                return
            end_hole(silk, before, self._silk_after, self._planned)

    def _is_loud(self, room: Room) -> bool:
        """Return whether the packet after the hole is louder from `after` than it was at first."""
        ints = self._after[0]
        khz = int(ints[s.OUTPUT_KHZ])
        payload = self._payload[: self._payload_bytes]
        samples = packet_samples(payload, 0, payload.size)
        _advance(self._after, room, payload, DECODE, self._out[: samples * khz // 48])
        silk = ints[s.SILK : s.SILK + STATE_SIZE]
        count = samples * int(silk[f.CHANNELS + f.RATE_KHZ]) // 48
        return bool(is_louder(silk, self._next[0], count))


def _step(ints: NDArray[np.int64]) -> int:
    """Return in what steps the stream conceals, in samples at 48 kHz."""
    return min(int(ints[s.FRAME_SAMPLES]) * 48 // int(ints[s.OUTPUT_KHZ]), 960)


def _copy(target: Arrays, source: Arrays) -> None:
    target[0][:] = source[0]
    target[1][:] = source[1]


def _advance(
    stream: Arrays, room: Room, payload: NDArray[np.uint8], task: int, out: NDArray[np.float32]
) -> int:
    ints, floats = stream
    mine, work, spare, silence = room
    size = payload.size
    return int(decode_stream(ints, floats, mine, work, spare, silence, payload, 0, size, task, out))


def _take(stream: Arrays, samples: int, target: NDArray[np.float32], at: int) -> int:
    """Copy the newest sound of each channel in its layer's domain to `target`; return how much."""
    ints, floats = stream
    if ints[s.MODE_BEFORE] == MODE_CELT:
        for channel in range(int(ints[s.OUTPUT_CHANNELS])):
            take_celt(floats[s.PAST :], channel, samples, target[channel], at)
        return samples
    silk = ints[s.SILK : s.SILK + STATE_SIZE]
    count = samples * int(silk[f.CHANNELS + f.RATE_KHZ]) // 48
    for channel in range(int(silk[f.CODED_CHANNELS])):
        take_silk(silk, channel, count, target[channel], at)
    return count


def _period(before: Arrays, concealed: Arrays) -> int:
    """Return the period before the hole, as the layer's own concealment found it."""
    ints = before[0]
    if ints[s.MODE_BEFORE] == MODE_CELT:
        return int(concealed[0][s.CELT + LOSS_PERIOD]) or _CELT_PERIOD
    block = s.SILK + f.CHANNELS
    if ints[block + f.SIGNAL_BEFORE] == f.VOICED:
        return int(ints[block + f.PITCH_Q8]) >> 8
    return 10 * int(ints[block + f.RATE_KHZ])
