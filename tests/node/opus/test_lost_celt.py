"""What is heard while CELT packets are lost, one after the other."""

from pathlib import Path

import av
import numpy as np
import pytest

from node.opus.decoder import OpusDecoder
from node.opus.libopus import LibopusDecoder
from sim.village.scenario import SPEECH as FOLDER

SPEECH = FOLDER / "announcement_vi.flac"


def stream(data, name):
    whole, at = (data / "opus" / f"{name}.bit").read_bytes(), 0
    while at < len(whole):
        size = int.from_bytes(whole[at : at + 4], "big")
        yield np.frombuffer(whole[at + 8 : at + 8 + size], np.uint8)
        at += 8 + size


def levels_db(folder, name, heard, lost, make=OpusDecoder):
    """Return the level of each 20 ms made up after `heard` packets, re the 20 ms before."""
    decoder = make(48_000, 1)
    out = np.zeros((5760, 1), np.float32)
    before = np.zeros(960)
    for number, payload in enumerate(stream(folder, name)):
        if number == heard:
            break
        samples = decoder.decode(payload, out)
        before = np.concatenate([before, out[:samples, 0]])[-960:]
    parts = []
    for _ in range(lost):
        decoder.conceal(samples, out)
        parts.append(out[:samples, 0].copy())
    made = np.concatenate(parts)
    made = made[: made.size // 960 * 960].reshape(-1, 960)
    return 10 * np.log10((made**2).mean(axis=1) / (before**2).mean() + 1e-9)


DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize("name", ["celt_NB_20ms_1ch_256k_vbr1_music", "long_celt_FB_120ms_1ch"])
def test_the_noise_after_a_long_loss_is_well_below_the_last_sound(name):
    # With libopus it begins 3 dB below the last good frame.
    assert levels_db(DATA, name, 30, 20)[5:].max() < -8.0


def test_a_loss_of_short_frames_fades_by_time_where_libopus_fades_by_frame():
    stream_of_5_ms = (DATA, "celt_SWB_5ms_2ch_64k_cbr_loud", 100, 20)
    ours, theirs = levels_db(*stream_of_5_ms), levels_db(*stream_of_5_ms, LibopusDecoder)
    assert (ours[1:4] > theirs[1:4] + 3.0).all()


def speech_of_20_ms():
    """Return the bundled announcement as CELT packets, and the decoder's sound of them."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "flt"
    encoder.bit_rate = 64_000
    encoder.options = {"frame_duration": "20", "application": "lowdelay"}
    resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000, frame_size=960)
    packets = []
    with av.open(str(SPEECH)) as source:
        for frame in (f for one in source.decode(audio=0) for f in resampler.resample(one)):
            frame.pts = None
            packets += [np.frombuffer(bytes(p), np.uint8).copy() for p in encoder.encode(frame)]
    decoder, sound = OpusDecoder(48_000, 1), np.zeros((len(packets), 960, 1), np.float32)
    for packet, out in zip(packets, sound, strict=True):
        assert decoder.decode(packet, out) == 960
    return packets, sound.reshape(-1)


def worst_click(make, packets, sound, lost):
    """Return by how much the sound steps more than without a loss, wherever `lost` are missing."""
    decoder, out = make(48_000, 1), np.zeros((960, 1), np.float32)
    steps, worst = np.abs(np.diff(sound, prepend=0.0)), 0.0
    for at in range(len(packets) - lost - 2):
        decoder.remember()
        heard = [sound[max(0, 960 * at - 1) : 960 * at]]
        for packet in [None] * lost + packets[at + lost : at + lost + 2]:
            got = decoder.conceal(960, out) if packet is None else decoder.decode(packet, out)
            assert got == 960
            heard.append(out[:, 0].copy())
        own = steps[960 * max(0, at - 1) : 960 * (at + lost + 2)].max()
        worst = max(worst, float(np.abs(np.diff(np.concatenate(heard))).max() - own))
        decoder.go_back()
        decoder.decode(packets[at], out)
    return worst


@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_packet_makes_no_click_of_the_one_after_it(lost):
    # The packet after a pause that was lost says by how much it is louder than the pause. Taken for
    # louder than the word before, it stepped by up to 1.3 of full scale.
    packets, sound = speech_of_20_ms()
    ours, theirs = (worst_click(one, packets, sound, lost) for one in (OpusDecoder, LibopusDecoder))
    assert ours <= min(0.15, theirs)
