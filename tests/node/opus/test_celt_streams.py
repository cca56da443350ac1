"""Whole CELT streams: the range of every packet, and the sound that libopus makes of it."""

import numpy as np
import pytest

from node.kernel.record import new
from node.opus.celt import concealment, frame, layout
from node.opus.libopus import LibopusDecoder
from node.opus.packet import (
    FRAMES_MAX,
    parse_frames,
    toc_bandwidth,
    toc_channels,
    toc_frame_samples,
)
from node.opus.range_decoder import rc_init

END_BANDS = (13, 17, 17, 19, 21)
STREAMS = [
    "celt_FB_20ms_2ch_510k_cbr_music",
    "celt_FB_2.5ms_1ch_16k_vbr1_clicks",
    "celt_FB_5ms_2ch_64k_vbr1_sweep",
    "celt_NB_10ms_1ch_96k_cbr_speech",
    "celt_NB_2.5ms_2ch_24k_cbr_gaps",
    "celt_SWB_10ms_2ch_128k_vbr1_clicks",
    "celt_SWB_5ms_2ch_64k_cbr_loud",
    "celt_WB_20ms_1ch_256k_vbr0_siren",
    "celt_WB_5ms_2ch_64k_vbr0_noise",
    "auto_lowdelay_14k",
    "framing_celt_SWB_5ms_2ch_vbr",
]
"""Every bandwidth, length, channel count and kind of signal once; the rest in benchmarks."""


class CeltStream:
    """A CELT-only decoder around the kernels, as the Opus decoder uses them."""

    def __init__(self, channels, divisor):
        self.channels, self.divisor = channels, divisor
        self.celt = np.zeros(layout.CELT_INT_SIZE, np.int64)
        self.past = np.zeros(layout.CELT_FLOAT_SIZE, np.float32)
        (self.frame,) = new(layout.CeltFrame)
        self.frame.output_channels, self.frame.divisor = channels, divisor
        frame.celt_reset(self.celt, self.past)

    def decode(self, payload):
        frames = np.zeros((FRAMES_MAX, 2), np.int64)
        toc = int(payload[0])
        samples = toc_frame_samples(toc)
        parts = []
        for begin, size in frames[: parse_frames(payload, 0, payload.size, frames)]:
            out = np.zeros((samples // self.divisor, self.channels), np.float32)
            rc_init(self.frame.rc[0], payload[begin : begin + size])
            self.ask(toc)
            self.frame.coded_channels = toc_channels(toc)
            frame.celt_decode_frame(self.celt, self.past, self.frame, out)
            parts.append(out)
        self.toc = toc
        return np.concatenate(parts), int(self.frame.rc[0].range)

    def conceal(self):
        samples = toc_frame_samples(self.toc)
        out = np.zeros((samples // self.divisor, self.channels), np.float32)
        self.ask(self.toc)
        concealment.celt_conceal(self.celt, self.past, self.frame, out)
        return out

    def ask(self, toc):
        self.frame.end = END_BANDS[toc_bandwidth(toc)]
        self.frame.lm = (toc_frame_samples(toc) // 120).bit_length() - 1


def packets(path):
    content = path.read_bytes()
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        final_range = int.from_bytes(content[at + 4 : at + 8], "big")
        yield np.frombuffer(content[at + 8 : at + 8 + size], np.uint8).copy(), final_range
        at += 8 + size


def libopus_sound(path, rate_hz, channels, lost=()):
    decoder = LibopusDecoder(rate_hz, channels)
    parts = []
    out = np.zeros((5760, channels), np.float32)
    count = 0
    for number, (payload, _) in enumerate(packets(path)):
        if number in lost:
            decoder.conceal(count, out)
        else:
            count = decoder.decode(payload, out)
        parts.append(out[:count].copy())
    return np.concatenate(parts)


def snr_db(wanted, ours):
    wanted = wanted.astype(np.float64)
    return 10 * np.log10((wanted**2).sum() / ((wanted - ours) ** 2).sum())


@pytest.fixture(scope="module")
def streams(shared):
    folder = shared / "opus_vectors" / "streams"
    if not folder.is_dir():
        pytest.skip(f"no Opus streams at {folder}")
    return folder


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", STREAMS)
def test_every_packet_is_read_to_its_last_symbol_and_sounds_as_with_libopus(
    name, channels, streams
):
    path = streams / f"{name}.bit"
    decoder = CeltStream(channels, 1)
    parts = []
    for number, (payload, final_range) in enumerate(packets(path)):
        sound, ours = decoder.decode(payload)
        assert ours == final_range, f"packet {number}"
        parts.append(sound)
    assert snr_db(libopus_sound(path, 48_000, channels), np.concatenate(parts)) > 120.0


@pytest.mark.parametrize("divisor", [2, 3, 4, 6])
def test_lower_output_rates_sound_as_with_libopus(divisor, streams):
    path = streams / "celt_FB_20ms_2ch_510k_cbr_music.bit"
    decoder = CeltStream(2, divisor)
    ours = np.concatenate([decoder.decode(payload)[0] for payload, _ in packets(path)])
    assert snr_db(libopus_sound(path, 48_000 // divisor, 2), ours) > 120.0


@pytest.mark.parametrize("name", ["celt_FB_10ms_2ch_128k_vbr0_speech", "dtx_celt_1ch"])
def test_after_a_loss_every_packet_is_read_right_and_soon_sounds_right(name, streams):
    path = streams / f"{name}.bit"
    whole, lossy = CeltStream(2, 1), CeltStream(2, 1)
    lost = {20, 21, 50, 70, 71, 72, 73, 74, 75, 76}
    errors = []
    for number, (payload, final_range) in enumerate(packets(path)):
        if number > 100 or payload.size <= 2:
            break
        wanted, _ = whole.decode(payload)
        if number in lost:
            ours = lossy.conceal()
        else:
            ours, ours_range = lossy.decode(payload)
            assert ours_range == final_range
        errors.append(np.abs(wanted - ours).max())
    assert max(errors[:20]) == 0.0
    if len(errors) > 95:
        assert max(errors[40:50]) < 0.01
        assert max(errors[90:]) < 0.05


@pytest.mark.parametrize(
    "name",
    [
        "celt_NB_10ms_1ch_96k_cbr_speech",
        "celt_FB_10ms_2ch_128k_vbr0_speech",
        "celt_WB_20ms_2ch_510k_vbr1_speech",
        "celt_FB_20ms_2ch_510k_cbr_music",
    ],
)
def test_concealed_sound_is_as_near_to_the_lost_sound_as_libopus_comes(name, streams):
    path = streams / f"{name}.bit"
    channels = 2
    whole = libopus_sound(path, 48_000, channels)
    count = sum(1 for _ in packets(path))
    lost = {int(i) for i in np.flatnonzero(np.random.default_rng(5).random(count) < 0.05)} - {0}
    decoder = CeltStream(channels, 1)
    parts = []
    for number, (payload, _) in enumerate(packets(path)):
        parts.append(decoder.conceal() if number in lost else decoder.decode(payload)[0])
    ours, theirs = np.concatenate(parts), libopus_sound(path, 48_000, channels, lost)
    assert snr_db(whole, ours) > snr_db(whole, theirs) - 1.0

    def lost_level_db(sound):
        power = (sound.astype(np.float64) ** 2).reshape(count, -1).mean(axis=1)
        return 10 * np.log10(power[sorted(lost)] + 1e-7)

    def level_error_db(sound):
        return np.abs(lost_level_db(sound) - lost_level_db(whole)).mean()

    assert level_error_db(ours) < level_error_db(theirs) + 1.0


def test_a_long_loss_fades_to_the_background_and_never_grows(streams):
    path = streams / "celt_FB_20ms_2ch_510k_cbr_music.bit"
    decoder = CeltStream(2, 1)
    for number, (payload, _) in enumerate(packets(path)):
        if number < 30:
            loudest = np.abs(decoder.decode(payload)[0]).max()
    concealed = [np.abs(decoder.conceal()).max() for _ in range(50)]
    assert max(concealed) < 2 * loudest
    # The reference's floor too; to silence it goes at the jitter buffer's word.
    assert concealed[-1] < 0.5 * loudest
