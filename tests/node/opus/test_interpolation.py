"""What is heard of a lost packet when the packet after it is at hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.opus.celt.layout import CELT_FLOAT_SIZE, ENERGY, LOUD
from node.opus.celt.lost_energy import guess_energies
from node.opus.celt.tables_celt import BANDS, INTER_ALPHA
from node.opus.decoder import OpusDecoder
from node.opus.packet import packet_samples

MODES = [
    "silk_MB_20ms_2ch_80k_vbr1_speech",
    "silk_NB_10ms_1ch_6k_cbr_speech",
    "fec_WB_20ms_1ch",
    "fec_hybrid_FB_20ms_1ch",
    "hybrid_SWB_20ms_1ch_32k_vbr1_loud",
    "celt_SWB_5ms_2ch_64k_cbr_loud",
    "celt_WB_10ms_2ch_128k_cbr_sweep",
    "auto_voip_14k",
    "auto_audio_24k",
    "switch_mode_2ch_2",
    "long_silk_NB_120ms_2ch",
    "dtx_hybrid_2ch",
    "chaos_0",
]
EMPTY = np.zeros(0, np.uint8)


def duration(payload, rate_hz=48_000):
    return packet_samples(payload, 0, payload.size) * (rate_hz // 1000) // 48


def holes(packets, every, length):
    """Return which packets are lost: `length` in a row out of `every`."""
    return [i >= every and i % every < length for i in range(len(packets))]


def listen(decoder, packets, lost, *, looks_ahead):
    """Return the sound, and how many received packets had a wrong final range."""
    out = np.zeros((decoder.rate_hz * 120 // 1000, decoder.channels), np.float32)
    parts, wrong = [], 0
    for i, (payload, final_range) in enumerate(packets):
        samples = duration(payload, decoder.rate_hz)
        if not lost[i]:
            assert decoder.decode(payload, out) == samples
            wrong += decoder.final_range != final_range
        elif looks_ahead and not all(lost[i:]):
            end = i + lost[i:].index(False)
            hole = sum(duration(one, decoder.rate_hz) for one, _ in packets[i:end])
            later = EMPTY if end + 1 >= len(packets) or lost[end + 1] else packets[end + 1][0]
            got = decoder.interpolate(packets[end][0], hole, out[:samples], later=later)
            assert got == samples
            assert decoder.final_range == 0
        else:
            assert decoder.conceal(samples, out) == samples
        parts.append(out[:samples].copy())
    return np.concatenate(parts), wrong


def spectral_distance_db(wanted, got):
    """Return the mean distance of both sounds' spectra in decibels, 20 ms at a time, to 4 kHz."""
    window = np.hanning(960)
    levels = []
    for sound in (wanted, got):
        pieces = np.lib.stride_tricks.sliding_window_view(sound[:, 0], 960)[::480]
        power = np.abs(np.fft.rfft(pieces * window))[:, :80] ** 2
        bands = power.reshape(len(power), 20, 4).sum(2)
        levels.append(10 * np.log10(bands + 1e-4))
    return float(np.abs(levels[0] - levels[1]).mean())


@pytest.mark.parametrize("rate_hz", [8000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", MODES)
def test_every_packet_after_a_filled_hole_is_read_to_its_last_bit(
    name, channels, rate_hz, recorded
):
    packets = recorded(name)[:120]
    decoder = OpusDecoder(rate_hz, channels)
    sound, wrong = listen(decoder, packets, holes(packets, 7, 2), looks_ahead=True)
    assert wrong == 0
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 8.0


@pytest.mark.parametrize(
    "name", ["fec_WB_20ms_1ch", "fec_hybrid_FB_20ms_1ch", "auto_voip_14k", "auto_audio_24k"]
)
@pytest.mark.parametrize("length", [1, 2])
def test_a_hole_with_a_known_end_sounds_nearer_to_what_was_lost(name, length, recorded):
    packets = recorded(name)
    lost = holes(packets, 6, length)
    whole, _ = listen(OpusDecoder(48_000, 1), packets, [False] * len(packets), looks_ahead=True)
    ways = [
        listen(OpusDecoder(48_000, 1), packets, lost, looks_ahead=way)[0] for way in (False, True)
    ]
    concealed, filled = (spectral_distance_db(whole, one) for one in ways)
    assert filled < 0.95 * concealed


@pytest.mark.parametrize(
    "name", ["silk_NB_10ms_1ch_6k_cbr_speech", "celt_SWB_5ms_2ch_64k_cbr_loud"]
)
def test_short_frames_are_concealed_as_ever(name, recorded):
    packets = recorded(name)[:100]
    lost = holes(packets, 6, 1)
    concealed, filled = (
        listen(OpusDecoder(48_000, 1), packets, lost, looks_ahead=way)[0] for way in (False, True)
    )
    np.testing.assert_array_equal(concealed, filled)


@pytest.mark.parametrize(
    ("before", "lost", "after"),
    [(1.0, -6.0, 1.0), (3.0, -6.0, 2.0), (-8.0, 0.0, 3.0), (2.0, 1.0, 0.0), (3.0, 3.0, 3.0)],
    ids=["a pause", "a pause in a shout", "a word begins", "a word ends", "a vowel"],
)
def test_what_follows_a_lost_celt_frame_is_about_as_loud_as_it_was(before, lost, after):
    alpha = float(INTER_ALPHA[3])  # of 20 ms
    past = np.zeros(CELT_FLOAT_SIZE, np.float32)
    past[ENERGY : ENERGY + 2 * BANDS] = before  # in log2 of the amplitude: 6 dB
    past[LOUD : LOUD + 2 * BANDS] = 4.0
    sent = after - alpha * lost
    heard = np.full(2 * BANDS, alpha * before + sent, np.float32)
    guessed = np.zeros(2 * BANDS, np.float32)
    guess_energies(past, heard, guessed, 3, 1, 1)
    too_loud = alpha * guessed + sent - after
    assert np.all((too_loud > -2.5) & (too_loud < 2.3))


def test_a_long_packet_behind_a_short_one_is_not_taken_for_what_follows_it(recorded):
    packets = [one for one, _ in recorded("celt_WB_10ms_2ch_128k_cbr_sweep")[:40]]
    decoder, plain = OpusDecoder(48_000, 1), OpusDecoder(48_000, 1)
    out, wanted = np.zeros((480, 1), np.float32), np.zeros((480, 1), np.float32)
    for payload in packets[:30]:
        decoder.decode(payload, out)
        plain.decode(payload, wanted)
    # Four frames in one packet (RFC 6716, section 3.2.5): 40 ms, of which 32.7 would fit.
    frames = [one[1:] for one in packets[32:36]]
    assert all(one.size == frames[0].size for one in frames)
    later = np.concatenate([np.array([packets[32][0] | 3, 4], np.uint8), *frames])
    decoder.interpolate(packets[31], 480, out, later=later)
    plain.conceal(480, wanted)
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("name", ["auto_audio_24k", "fec_WB_20ms_2ch", "fec_hybrid_FB_20ms_1ch"])
def test_a_hole_sounds_the_same_whether_asked_for_at_once_or_in_parts(name, recorded):
    packets = recorded(name)[:40]
    decoder, out = OpusDecoder(48_000, 1), np.zeros((2880, 1), np.float32)
    for payload, _ in packets[:30]:
        decoder.decode(payload, out)
    other = decoder.copy()
    whole, parts = np.zeros((2880, 1), np.float32), np.zeros((2880, 1), np.float32)
    assert decoder.interpolate(packets[33][0], 2880, whole) == 2880
    for at in (0, 960, 1920):
        assert other.interpolate(packets[33][0], 2880 - at, parts[at : at + 960]) == 960
        other = other.copy()  # a fork goes on with the hole where it was
    np.testing.assert_array_equal(whole, parts)
    for payload, _ in packets[33:]:
        decoder.decode(payload, whole)
        other.decode(payload, parts)
        np.testing.assert_array_equal(whole, parts)


def test_a_packet_that_comes_in_the_middle_of_a_hole_ends_it(recorded):
    packets = recorded("fec_WB_20ms_1ch")[:40]
    decoder, out = OpusDecoder(48_000, 1), np.zeros((960, 1), np.float32)
    for payload, _ in packets[:30]:
        decoder.decode(payload, out)
    decoder.interpolate(packets[33][0], 2880, out)
    for payload, final_range in packets[31:]:
        assert decoder.decode(payload, out) == 960
        assert decoder.final_range == final_range


@pytest.mark.parametrize(
    ("hole", "rows"), [(960, 100), (0, 960), (480, 960), (1000, 960), (48_000, 960)]
)
def test_a_hole_of_odd_length_is_concealed_as_ever(hole, rows, recorded):
    packets = recorded("fec_WB_20ms_1ch")
    decoder, plain = OpusDecoder(48_000, 1), OpusDecoder(48_000, 1)
    out, wanted = np.zeros((960, 1), np.float32), np.zeros((960, 1), np.float32)
    for payload, _ in packets[:30]:
        decoder.decode(payload, out)
        plain.decode(payload, wanted)
    got = decoder.interpolate(packets[31][0], hole, out[:rows])
    assert got == plain.conceal(rows, wanted)
    np.testing.assert_array_equal(out, wanted)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damaged_packets_at_both_ends_of_a_hole_make_no_noise(recorded, data):
    packets = recorded(data.draw(st.sampled_from(MODES)))[:60]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    decoder = OpusDecoder(data.draw(st.sampled_from([8000, 16_000, 48_000])), 2)
    khz = decoder.rate_hz // 1000
    out = np.zeros((120 * khz, 2), np.float32)
    for i in range(12):
        payload = packets[rng.integers(len(packets))][0].copy()
        if i % 2 and payload.size > 1:
            payload[1:] = rng.integers(0, 256, payload.size - 1)
        later = rng.integers(0, 256, rng.integers(0, 80)).astype(np.uint8)
        rows = int(rng.choice([5, 10, 20])) * khz
        hole = rows * int(rng.integers(1, 4))
        assert decoder.interpolate(payload, hole, out[:rows], later=later) == rows
        assert np.abs(out[:rows]).max() <= 8.0
        samples = decoder.decode(payload, out)
        assert np.abs(out[: max(samples, 0)]).max(initial=0.0) <= 8.0


def test_what_is_interpolated_between_damaged_packets_is_no_louder_than_what_is_decoded():
    # A hybrid packet of random bytes that decodes at 8 times full scale, where all sound is held:
    # led over to itself, both of its layers together came out at 8.14.
    data = "683593d4e2cdb7b95c6415bfb001f2058c77b5c4c95e3c1fee5f474c6531caa46babf0"
    payload = np.frombuffer(bytes.fromhex(data), np.uint8)
    decoder, out = OpusDecoder(48_000, 1), np.zeros((960, 1), np.float32)
    peak = 0.0
    for _ in range(6):
        assert decoder.decode(payload, out) == 960
        peak = max(peak, float(np.abs(out).max()))
    assert peak == 8.0
    assert decoder.interpolate(payload, 960, out, later=EMPTY) == 960
    assert np.abs(out).max() == 8.0
