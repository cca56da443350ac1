"""The SILK layer of one Opus frame: channels, intervals, copies for lost frames (RFC 6716, 4.2).

One Opus frame holds one to three intervals of 10 or 20 ms, each with a SILK frame per channel;
before them may lie coarse copies of the intervals before (LBRR), which in-band FEC asks for.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus import tables_silk as t
from node.opus.range_decoder import RangeDecoder, rc_bit_logp, rc_icdf
from node.opus.silk import state as f
from node.opus.silk.channel import decode_channel, reset_channel, set_rate
from node.opus.silk.excitation import parse_excitation
from node.opus.silk.indices import parse_indices
from node.opus.silk.resampler import resample
from node.opus.silk.state import SilkFrame
from node.opus.silk.stereo import delay_mono, parse_mid_only, parse_weights, unmix

GOOD: Final = 0
LOST: Final = 1
COPY: Final = 2
"""Decode the LBRR frames, which are copies of the Opus frame before."""

_SCALE: Final = np.float32(1 / 32768)


@inner_kernel("void(int64[::1])")
def reset_silk(silk: NDArray[np.int64]) -> None:
    """Forget the stream (4.5.2); both channels and the stereo prediction (RFC 8251, section 3).

    silk  (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    """
    for k in range(f.CHANNELS):
        silk[k] = 0
    reset_channel(silk, f.CHANNELS)
    reset_channel(silk, f.CHANNELS + f.CHANNEL_SIZE)


@inner_kernel("boolean(int64[::1], SilkFrame)")
def _start_frame(silk: NDArray[np.int64], frame: SilkFrame) -> bool:
    """Follow changes of rate and channels; True if both outputs just became one channel."""
    rate_khz, coded_channels = frame.rate_khz, frame.coded_channels
    output_channels = frame.output_channels
    block = f.CHANNELS
    side = f.CHANNELS + f.CHANNEL_SIZE
    coded_before = silk[f.CODED_CHANNELS]
    collapsed = (
        coded_channels == 1
        and output_channels == 2
        and coded_before == 2
        and rate_khz == silk[block + f.RATE_KHZ]
    )
    if coded_channels > coded_before:
        reset_channel(silk, side)
    silk[f.FRAMES_DECODED] = 0
    silk[f.FRAMES] = max(1, frame.frame_ms // 20)
    subframes = 2 if frame.frame_ms == 10 else f.SUBFRAMES_MAX
    for c in range(coded_channels):
        set_rate(silk, block + c * f.CHANNEL_SIZE, rate_khz, frame.output_khz, subframes)
    one_before = silk[f.OUTPUT_CHANNELS] == 1 or coded_before == 1
    if output_channels == 2 and coded_channels == 2 and one_before:
        silk[f.STEREO_Q13] = 0
        silk[f.STEREO_Q13 + 1] = 0
        silk[f.SIDE_TAIL] = 0
        silk[f.SIDE_TAIL + 1] = 0
        for k in range(f.RESAMPLER_MODE, f.NLSF_BEFORE_Q15):
            silk[side + k] = silk[block + k]
    silk[f.OUTPUT_CHANNELS] = output_channels
    silk[f.CODED_CHANNELS] = coded_channels
    return collapsed


@inner_kernel("void(RangeDecoder, int64[::1], int64)")
def _parse_flags(rc: RangeDecoder, silk: NDArray[np.int64], channels: int) -> None:
    """Read which frames are active and which have copies (4.2.3, 4.2.4)."""
    frames = silk[f.FRAMES]
    for c in range(channels):
        block = f.CHANNELS + c * f.CHANNEL_SIZE
        for i in range(frames):
            silk[block + f.ACTIVE_FLAGS + i] = rc_bit_logp(rc, 1)
        silk[block + f.LBRR] = rc_bit_logp(rc, 1)
    for c in range(channels):
        block = f.CHANNELS + c * f.CHANNEL_SIZE
        flags = silk[block + f.LBRR]
        if flags == 1 and frames > 1:
            table = t.LBRR_2 if frames == 2 else t.LBRR_3
            flags = rc_icdf(rc, t.ICDF, table, 8) + 1
        for i in range(3):
            silk[block + f.LBRR_FLAGS + i] = (flags >> i) & 1


@inner_kernel("void(RangeDecoder, int64[::1], int64[::1], int64)")
def _skip_copies(
    rc: RangeDecoder,
    silk: NDArray[np.int64],
    scratch: NDArray[np.int64],
    channels: int,
) -> None:
    """Parse the copies of frames that were not lost (4.2.5)."""
    side = f.CHANNELS + f.CHANNEL_SIZE
    for i in range(silk[f.FRAMES]):
        for c in range(channels):
            block = f.CHANNELS + c * f.CHANNEL_SIZE
            if silk[block + f.LBRR_FLAGS + i] == 0:
                continue
            if channels == 2 and c == 0:
                parse_weights(rc, silk)
                if silk[side + f.LBRR_FLAGS + i] == 0:
                    parse_mid_only(rc)
            coding = f.INDEPENDENT
            if i > 0 and silk[block + f.LBRR_FLAGS + i - 1] == 1:
                coding = f.CONDITIONAL
            parse_indices(rc, silk, block, scratch, True, coding)
            parse_excitation(rc, scratch, silk[block + f.FRAME_SAMPLES])


@inner_kernel("int64(RangeDecoder, int64[::1], int64)")
def _parse_stereo(rc: RangeDecoder, silk: NDArray[np.int64], kind: int) -> int:
    """Read the interval's stereo weights if there are any; return 1 if it has no side channel."""
    i = silk[f.FRAMES_DECODED]
    side = f.CHANNELS + f.CHANNEL_SIZE
    copied = kind == COPY and silk[f.CHANNELS + f.LBRR_FLAGS + i] == 1
    if kind != GOOD and not copied:
        silk[f.WEIGHTS_Q13] = silk[f.STEREO_Q13]
        silk[f.WEIGHTS_Q13 + 1] = silk[f.STEREO_Q13 + 1]
        return 0
    parse_weights(rc, silk)
    flags = f.LBRR_FLAGS if kind == COPY else f.ACTIVE_FLAGS
    if silk[side + flags + i] == 0:
        return parse_mid_only(rc)
    return 0


@inner_kernel("void(int64[::1], int64)")
def _restart_side(silk: NDArray[np.int64], side: int) -> None:
    """Forget the side channel's sound when it comes back after intervals without it."""
    for k in range(f.FRAME_SAMPLES_MAX):
        silk[side + f.HISTORY + k] = 0
    for k in range(f.ORDER_MAX):
        silk[side + f.LPC_TAIL_Q14 + k] = 0
    silk[side + f.LAG_BEFORE] = 100
    silk[side + f.GAIN_INDEX_BEFORE] = 10
    silk[side + f.SIGNAL_BEFORE] = f.INACTIVE
    silk[side + f.FRESH] = 1


@inner_kernel("int64(int64[::1], int64, int64)")
def _coding(silk: NDArray[np.int64], c: int, kind: int) -> int:
    """Return how channel `c`'s frame in this interval refers to the one before."""
    i = silk[f.FRAMES_DECODED]
    if i == 0:
        return f.INDEPENDENT
    if kind == COPY:
        before = silk[f.CHANNELS + c * f.CHANNEL_SIZE + f.LBRR_FLAGS + i - 1]
        return f.CONDITIONAL if before == 1 else f.INDEPENDENT
    if c > 0 and silk[f.MID_ONLY_BEFORE] == 1:
        return f.INDEPENDENT_NO_LTP_SCALE
    return f.CONDITIONAL


@inlined
def _wanted(silk: NDArray[np.int64], c: int, kind: int) -> int:
    """Return how channel `c`'s frame in this interval is to be had: MADE_UP, or as it is read."""
    i = silk[f.FRAMES_DECODED]
    block = f.CHANNELS + c * f.CHANNEL_SIZE
    if kind == COPY:
        return f.ACTIVE if silk[block + f.LBRR_FLAGS + i] == 1 else f.MADE_UP
    if kind == LOST:
        return f.MADE_UP
    return f.ACTIVE if silk[block + f.ACTIVE_FLAGS + i] else f.AT_REST


@inner_kernel("void(RangeDecoder, int64[::1], int64[::1], int64)")
def _decode_interval(
    rc: RangeDecoder,
    silk: NDArray[np.int64],
    scratch: NDArray[np.int64],
    kind: int,
) -> None:
    """Decode both channels of one interval to scratch[FRAME_OUT], unmixed, one sample late."""
    channels = silk[f.CODED_CHANNELS]
    i = silk[f.FRAMES_DECODED]
    side = f.CHANNELS + f.CHANNEL_SIZE
    samples = silk[f.CHANNELS + f.FRAME_SAMPLES]
    mid_only = 0
    if channels == 2:
        mid_only = _parse_stereo(rc, silk, kind)
        if mid_only == 0 and silk[f.MID_ONLY_BEFORE] == 1:
            _restart_side(silk, side)
    has_side = mid_only == 0
    if kind != GOOD:
        copied = kind == COPY and silk[side + f.LBRR_FLAGS + i] == 1
        has_side = silk[f.MID_ONLY_BEFORE] == 0 or copied
    for c in range(channels):
        if c == 0 or has_side:
            wanted = _wanted(silk, c, kind)
            decode_channel(rc, silk, c, scratch, wanted, _coding(silk, c, kind))
        else:
            out = f.FRAME_OUT + c * f.FRAME_OUT_SIZE + 2
            for k in range(samples):
                scratch[out + k] = 0
    if channels == 2 and silk[f.OUTPUT_CHANNELS] == 2:
        unmix(silk, scratch, silk[f.CHANNELS + f.RATE_KHZ], samples)
    else:
        delay_mono(silk, scratch, samples)
    if kind == LOST:
        for c in range(channels):
            silk[f.CHANNELS + c * f.CHANNEL_SIZE + f.GAIN_INDEX_BEFORE] = 10
    else:
        silk[f.MID_ONLY_BEFORE] = mid_only
    silk[f.FRAMES_DECODED] = i + 1


@inner_kernel("void(RangeDecoder, int64[::1], SilkFrame, int64, float32[:, ::1])")
def decode_silk(
    rc: RangeDecoder,
    silk: NDArray[np.int64],
    frame: SilkFrame,
    kind: int,
    out: NDArray[np.float32],
) -> None:
    """Decode, conceal or recover the SILK layer of one Opus frame.

    rc     bytes and bits of the frame; not touched if it is LOST
    silk   (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    frame  its rates, channels and length; the rest of it is scratch
    kind   GOOD, LOST or COPY
    out    (n, output_channels) float32, full scale 1.0; frame_ms x output_khz samples are set
    """
    scratch = frame.scratch[:]
    channels = frame.coded_channels
    collapsed = _start_frame(silk, frame)
    if kind != LOST:
        _parse_flags(rc, silk, channels)
    if kind == GOOD:
        _skip_copies(rc, silk, scratch, channels)
    begin = 0
    for _ in range(silk[f.FRAMES]):
        _decode_interval(rc, silk, scratch, kind)
        samples = silk[f.CHANNELS + f.FRAME_SAMPLES]
        made = samples * frame.output_khz // frame.rate_khz
        for c in range(frame.output_channels):
            coded = min(c, channels - 1)
            if c == coded or collapsed:
                block = f.CHANNELS + c * f.CHANNEL_SIZE
                first = f.FRAME_OUT + coded * f.FRAME_OUT_SIZE + 1
                resample(silk, block, scratch, first, samples, f.RESAMPLED)
            for i in range(made):
                out[begin + i, c] = np.float32(scratch[f.RESAMPLED + i]) * _SCALE
        begin += made
