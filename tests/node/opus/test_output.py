import numpy as np
import opuslib_next
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from node.opus.decoder import OpusDecoder
from node.opus.output import soft_clip, to_int16


def packets(amplitude: float) -> list[bytes]:
    """Return speech-like SILK packets whose sound may go beyond full scale."""
    encoder = opuslib_next.Encoder(16_000, 1, opuslib_next.APPLICATION_VOIP)
    encoder.bitrate = 12_000
    t = np.arange(16_000) / 16_000
    wave = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 9))
    sound = np.clip(wave * amplitude * 32767, -32768, 32767).astype("<i2")
    return [bytes(encoder.encode(sound[i : i + 320].tobytes(), 320)) for i in range(0, 16_000, 320)]


def libopus_int16(payloads: list[bytes], rate_hz: int) -> np.ndarray:
    decoder = opuslib_next.Decoder(rate_hz, 1)
    sound = b"".join(decoder.decode(payload, rate_hz // 50) for payload in payloads)
    return np.frombuffer(sound, np.int16)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_sixteen_bit_speech_is_that_of_libopus_sample_for_sample(rate_hz):
    payloads = packets(0.2)
    ours = OpusDecoder(rate_hz, 1)
    out = np.zeros(rate_hz, np.int16)
    for i, payload in enumerate(payloads):
        part = out[i * rate_hz // 50 : (i + 1) * rate_hz // 50]
        assert ours.decode(payload, part) == rate_hz // 50

    assert np.abs(out).max() > 3000
    np.testing.assert_array_equal(out, libopus_int16(payloads, rate_hz))


def test_bytes_and_arrays_decode_alike():
    one, other = OpusDecoder(48_000, 1), OpusDecoder(48_000, 1)
    for payload in packets(0.2)[:5]:
        a, b = np.zeros((960, 1), np.float32), np.zeros(960, np.float32)
        assert one.decode(np.frombuffer(payload, np.uint8), a) == 960
        assert other.decode(payload, b) == 960
        np.testing.assert_array_equal(a[:, 0], b)
    assert one.decode(b"", np.zeros((960, 1), np.float32)) < 0


def test_a_headers_gain_scales_the_sound():
    plain, louder = OpusDecoder(48_000, 1), OpusDecoder(48_000, 1)
    louder.set_gain(6 * 256)
    for payload in packets(0.1)[:10]:
        a, b = np.zeros((960, 1), np.float32), np.zeros((960, 1), np.float32)
        plain.decode(payload, a)
        louder.decode(payload, b)
    np.testing.assert_allclose(b, a * 10 ** (6 / 20), rtol=1e-6)
    with pytest.raises(ValueError, match="40000"):
        plain.set_gain(40_000)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 300), st.integers(1, 2)),
        elements=st.floats(-8, 8, width=32),
    ),
    st.integers(0, 300),
)
def test_what_is_clipped_fits_and_what_fits_is_left_alone(sound, cut):
    clipped = sound.copy()
    bends = np.zeros(sound.shape[1], np.float32)
    soft_clip(clipped[:cut], bends)
    soft_clip(clipped[cut:], bends)

    assert np.abs(clipped, dtype=np.float64).max(initial=0) <= 1.0
    assert (np.sign(clipped) * np.sign(sound) >= 0).all()
    if np.abs(sound).max(initial=0) <= 1.0:
        np.testing.assert_array_equal(clipped, sound)
    out = np.zeros(sound.shape, np.int16)
    to_int16(clipped, out)
    assert np.abs(out / 32768 - np.clip(clipped, -1, 32767 / 32768)).max(initial=0) <= 0.5 / 32768
