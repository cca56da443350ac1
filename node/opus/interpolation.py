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

from node.kernel.record import Records, new
from node.opus.backward import NEXT_MAX
from node.opus.blend import Blending
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
from node.opus.silk.state import STATE_SIZE, SilkHole
from node.opus.steps import CONCEAL, DECODE, PEAK_MAX, decode_stream
from node.opus.stream import LOW, Room, Stream, raw

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

Rooms = tuple[Records[Room], NDArray[np.float32]]
"""A room and what is beside it: `spare`."""


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
        self._before = new(Stream)
        self._after = new(Stream)
        self._run_on = new(Stream)
        self._silk_hole = new(SilkHole)
        self._earlier: NDArray[np.int64] = self._silk_hole["earlier"][0]
        self._planned: NDArray[np.int64] = self._silk_hole["planned"][0]
        self._silk_after = np.zeros(STATE_SIZE, np.int64)
        self._energies_after = np.zeros(2 * BANDS, np.float32)
        self._energies_lost = np.zeros(2 * BANDS, np.float32)
        self._memory = np.zeros(2, np.float32)
        self._front = np.zeros((2, _FRONT_MAX), np.float32)
        self._next = np.zeros((2, NEXT_MAX), np.float32)
        self._way = new(Blending)
        self._out = np.zeros((1920, channels), np.float32)
        self._payload = np.zeros(_PAYLOAD_MAX, np.uint8)
        self._payload_bytes = 0
        self._nothing = np.zeros(2, np.uint8)

    def plan(
        self,
        stream: Records[Stream],
        room: Rooms,
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
        mode, khz = _whole(stream, "mode_before"), _whole(stream, "output_khz")
        if not self._can_fill(stream, payload, hole):
            return False
        step = _step(stream)
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
        self._memory[:] = stream["past"][0, DE_EMPHASIS : DE_EMPHASIS + 2]
        return True

    def play(self, stream: Records[Stream], room: Rooms, out: NDArray[np.float32]) -> int:
        """Go on with the stream by the next part of the plan; return the rows of `out` filled.

        out  (n, channels) float32, full scale 1.0; n whole steps of the plan
        """
        silk, celt, past = stream["silk"][0], stream["celt"][0], stream["past"][0]
        khz, mode = _whole(stream, "output_khz"), _whole(stream, "mode_before")
        step = _step(stream)
        rows = step * khz // 48
        for at in range(0, out.shape[0], rows):
            part = out[at : at + rows]
            played = self._hole - self.left
            self._earlier[:] = silk
            if mode == MODE_HYBRID:
                along = (played + step / 2) / self._hole
                before = self._before["past"][0, ENERGY : ENERGY + 2 * BANDS]
                aim_noise(celt, past, before, self._energies_after, along)
            _advance(stream, room, self._nothing, CONCEAL, part)
            if mode == MODE_CELT:
                play_celt(past, self._sound, played, self._memory, 48 // khz, part)
            else:
                begin = played * int(silk[f.CHANNELS + f.RATE_KHZ]) // 48
                scratch = room[0]["silk"]["scratch"][0, 0]
                np.subtract(part, room[1][LOW : LOW + rows], out=part)  # the layer as concealed
                play_silk(silk, self._silk_hole, scratch, self._sound, begin, part)
            np.clip(part, -PEAK_MAX, PEAK_MAX, out=part)  # of what damaged packets become
            self.left -= step
        if self.left == 0:
            self._finish(stream, room, mode)
        return int(out.shape[0])

    def fits(self, stream: Records[Stream], hole: int, rows: int) -> bool:
        """Return whether `rows` at the output's rate are whole steps, and no more than `hole`."""
        khz = _whole(stream, "output_khz")
        return rows > 0 and rows * 48 % (khz * _step(stream)) == 0 and rows * 48 <= hole * khz

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

    def _can_fill(self, stream: Records[Stream], payload: NDArray[np.uint8], hole: int) -> bool:
        mode, step = _whole(stream, "mode_before"), _step(stream)
        if mode not in _PACKET_MAX or not _EMPTY_BYTES < payload.size <= _PAYLOAD_MAX:
            return False
        if step < _STEP_MIN[mode] or not 0 < hole <= HOLE_MAX_MS * 48 or hole % step != 0:
            return False
        return self._fits_stream(stream, payload)

    def _fits_stream(self, stream: Records[Stream], payload: NDArray[np.uint8]) -> bool:
        """Return whether the packet goes on in the same mode, at the same rate, and is short."""
        mode, toc = _whole(stream, "mode_before"), int(payload[0])
        samples = packet_samples(payload, 0, payload.size)
        if toc_mode(toc) != mode or not 0 < samples <= _PACKET_MAX[mode]:
            return False
        if mode == MODE_CELT:
            return True
        rate_khz = 8 + 4 * min(toc_bandwidth(toc), WIDEBAND)
        same_rate = rate_khz == _whole(stream, "silk_khz")
        return same_rate and toc_channels(toc) == _whole(stream, "silk_channels")

    def _guess_energies(self, room: Rooms, payload: NDArray[np.uint8], hole: int) -> bool:
        """Give `after` the last lost frame's likeliest energies; return False for a bad packet."""
        self._after["celt"][0, HOLE] = 0  # its energies are guessed here, and once is enough
        _copy(self._run_on, self._after)
        khz = _whole(self._run_on, "output_khz")
        samples = packet_samples(payload, 0, payload.size)
        if _advance(self._run_on, room, payload, DECODE, self._out[: samples * khz // 48]) < 0:
            return False
        frame = _whole(self._run_on, "frame_samples") * 48 // khz
        guess_energies(
            self._before["past"][0], self._run_on["past"][0, ENERGY : ENERGY + 2 * BANDS],
            self._energies_lost, frame_lm(frame, 48), max(hole // frame, 1), samples // frame,
        )  # fmt: skip
        self._after["past"][0, ENERGY : ENERGY + 2 * BANDS] = self._energies_lost
        return True

    def _decode_after(
        self, room: Rooms, payload: NDArray[np.uint8], later: NDArray[np.uint8], hole: int
    ) -> int:
        """Decode what follows the hole into `next`; return how many samples are known, or 0."""
        khz = _whole(self._after, "output_khz")
        mode = _whole(self._after, "mode_before")
        samples = packet_samples(payload, 0, payload.size)
        if mode != MODE_SILK and not self._guess_energies(room, payload, hole):
            return 0
        if _advance(self._after, room, payload, DECODE, self._out[: samples * khz // 48]) < 0:
            return 0
        count = _take(self._after, samples, self._next, 0)
        self._silk_after[:] = self._after["silk"][0]
        self._energies_after[:] = self._after["past"][0, ENERGY : ENERGY + 2 * BANDS]
        if samples >= _AFTER_MIN:
            return count
        if later.size <= _EMPTY_BYTES or not self._fits_stream(self._after, later):
            return 0
        samples = packet_samples(later, 0, later.size)
        if samples > NEXT_MAX - count:  # its newest sound alone would not follow on the first
            return 0
        if _advance(self._after, room, later, DECODE, self._out[: samples * khz // 48]) < 0:
            return 0
        return int(count + _take(self._after, samples, self._next, count))

    def _fill(self, mode: int, begin: int, hole: int, count: int, period: int) -> bool:
        """Fill the hole of each channel that has sound on both sides; return whether all went."""
        silk = self._before["silk"][0]
        rate_khz, order, piece, first = 48, _CELT_ORDER, _CELT_PIECE, OVERLAP
        channels = _whole(self._before, "output_channels")
        self._planned[:] = 0
        self._planned[:channels] = 1
        if mode != MODE_CELT:
            rate_khz, order = int(silk[f.CHANNELS + f.RATE_KHZ]), int(silk[f.CHANNELS + f.ORDER])
            piece, first = 60 if rate_khz == 8 else 120, 0
            has_side = int(silk[f.CODED_CHANNELS]) == 2
            for one in (silk, self._silk_after):
                has_side = has_side and one[f.MID_ONLY_BEFORE] == 0
            self._planned[1] = has_side
        way = self._way
        way["rate_khz"], way["order"], way["period"], way["piece"] = rate_khz, order, period, piece
        way["is_short"] = _step(self._before) < _AFTER_MIN
        wanted = hole * rate_khz // 48 + first
        for channel in range(2):
            after, out = self._next[channel, first:count], self._sound[channel, :wanted]
            if self._planned[channel] and not fill(way, self._front[channel], begin, after, out):
                return False
        return True

    def _finish(self, stream: Records[Stream], room: Rooms, mode: int) -> None:
        """Leave the stream so that the next packet goes on from the planned sound."""
        celt, past = stream["celt"][0], stream["past"][0]
        if mode == MODE_CELT:
            channels = _whole(stream, "output_channels")
            work = room[0]["celt"]["work"][0, 0]
            overlap_next(celt, past, work, self._sound, self._hole, channels)
        else:
            self._end_silk(stream, room)
        celt[HOLE] = 0
        if mode != MODE_SILK:
            past[ENERGY : ENERGY + 2 * BANDS] = self._energies_lost

    def _end_silk(self, stream: Records[Stream], room: Rooms) -> None:
        """Let the next frame follow as if nothing had been lost, unless it came out too loud.

        Filters not widened may ring on a history that does not quite fit: try it on a copy.
        """
        before = self._before["silk"][0]
        _copy(self._after, stream)
        for one in (self._after, stream):
            if one is stream and self._is_loud(room):
                return
            end_hole(one["silk"][0], before, self._silk_after, self._planned)

    def _is_loud(self, room: Rooms) -> bool:
        """Return whether the packet after the hole is louder from `after` than it was at first."""
        khz = _whole(self._after, "output_khz")
        payload = self._payload[: self._payload_bytes]
        samples = packet_samples(payload, 0, payload.size)
        _advance(self._after, room, payload, DECODE, self._out[: samples * khz // 48])
        silk = self._after["silk"][0]
        count = samples * int(silk[f.CHANNELS + f.RATE_KHZ]) // 48
        return bool(is_louder(silk, self._next[0], count))


def _whole(stream: Records[Stream], name: str) -> int:
    return int(stream[name][0])


def _step(stream: Records[Stream]) -> int:
    """Return in what steps the stream conceals, in samples at 48 kHz."""
    return min(_whole(stream, "frame_samples") * 48 // _whole(stream, "output_khz"), 960)


def _copy(target: Records[Stream], source: Records[Stream]) -> None:
    raw(target)[:] = raw(source)


def _advance(
    stream: Records[Stream],
    room: Rooms,
    payload: NDArray[np.uint8],
    task: int,
    out: NDArray[np.float32],
) -> int:
    return int(decode_stream(stream, *room, payload, task, out))


def _take(stream: Records[Stream], samples: int, target: NDArray[np.float32], at: int) -> int:
    """Copy the newest sound of each channel in its layer's domain to `target`; return how much."""
    if _whole(stream, "mode_before") == MODE_CELT:
        for channel in range(_whole(stream, "output_channels")):
            take_celt(stream["past"][0], channel, samples, target[channel], at)
        return samples
    silk = stream["silk"][0]
    count = samples * int(silk[f.CHANNELS + f.RATE_KHZ]) // 48
    for channel in range(int(silk[f.CODED_CHANNELS])):
        take_silk(silk, channel, count, target[channel], at)
    return count


def _period(before: Records[Stream], concealed: Records[Stream]) -> int:
    """Return the period before the hole, as the layer's own concealment found it."""
    if _whole(before, "mode_before") == MODE_CELT:
        return int(concealed["celt"][0, LOSS_PERIOD]) or _CELT_PERIOD
    silk = before["silk"][0]
    if silk[f.CHANNELS + f.SIGNAL_BEFORE] == f.VOICED:
        return int(silk[f.CHANNELS + f.PITCH_Q8]) >> 8
    return 10 * int(silk[f.CHANNELS + f.RATE_KHZ])
