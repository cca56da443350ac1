"""What is heard while CELT packets are lost, one after the other."""

from pathlib import Path

import numpy as np
import pytest

from node.libopus import LibopusDecoder
from node.opus.decoder import OpusDecoder


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
