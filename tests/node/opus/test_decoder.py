"""The decoder against the encoder's ranges and against libopus, over recorded streams."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.opus.decoder import OpusDecoder
from node.opus.libopus import LibopusDecoder
from node.opus.protocol import BAD_PAYLOAD, BUFFER_TOO_SMALL

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "data" / "opus").glob("*.bit"))
SPEECH = ["fec_WB_20ms_2ch", "framing_silk_NB_10ms_2ch_cbr", "framing_silk_WB_20ms_2ch_vbr"]
SPEECH += ["long_silk_NB_120ms_2ch", "silk_MB_10ms_2ch_36k_cbr_sweep", "fec_WB_20ms_1ch"]
SPEECH += ["silk_MB_20ms_2ch_80k_vbr1_speech", "silk_WB_20ms_2ch_18k_vbr0_gaps"]
SPEECH += ["silk_WB_60ms_1ch_28k_vbr0_speech"]
STEADY = [name for name in NAMES if name.startswith(("celt_", "auto_", "hybrid_", "framing_celt_"))]
SWITCHING = [name for name in NAMES if name.startswith(("switch_", "chaos_", "dtx_"))]


def _outputs(decoder, packets):
    """Decode all packets; return the sound of each."""
    out = np.zeros((5760, decoder.channels), np.float32)
    sounds = []
    for payload, _ in packets:
        samples = decoder.decode(payload, out)
        assert samples > 0
        sounds.append(out[:samples].copy())
    return sounds


def _snr_db(wanted, got):
    error = float(np.sum((got.astype(float) - wanted) ** 2))
    return 10 * np.log10(float(np.sum(wanted.astype(float) ** 2)) / error) if error else np.inf


def _wrong_ranges(packets, channels):
    decoder = OpusDecoder(48_000, channels)
    out = np.zeros((5760, channels), np.float32)
    wrong = 0
    for payload, final_range in packets:
        decoder.decode(payload, out)
        wrong += decoder.final_range != final_range
    return wrong


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_every_packet_ends_on_the_range_that_its_encoder_had(name, channels, recorded):
    assert _wrong_ranges(recorded(name), channels) == 0


@pytest.mark.needs_shared
@pytest.mark.parametrize("channels", [1, 2])
def test_every_packet_of_all_155_streams_ends_on_its_encoder_s_range(channels, all_recorded):
    wrong = {name: _wrong_ranges(packets, channels) for name, packets in all_recorded}
    assert len(wrong) == 155
    assert {name: count for name, count in wrong.items() if count} == {}


@pytest.mark.parametrize("number", range(1, 13))
def test_the_official_bitstreams_end_on_their_encoder_s_ranges(number, recorded):
    folder = os.environ.get("LOALANG_OPUS_VECTORS")
    if not folder:
        pytest.skip("LOALANG_OPUS_VECTORS is not set: 12 official bitstreams not checked")
    path = Path(folder) / f"testvector{number:02}"
    for channels in (1, 2):
        assert _wrong_ranges(recorded(path), channels) == 0


@pytest.mark.parametrize("rate_hz", [8000, 12_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("name", SPEECH)
def test_speech_is_sample_for_sample_what_libopus_makes_of_it(name, rate_hz, recorded):
    packets = recorded(name)
    for channels in (1, 2):
        ours = _outputs(OpusDecoder(rate_hz, channels), packets)
        theirs = _outputs(LibopusDecoder(rate_hz, channels), packets)
        np.testing.assert_array_equal(np.concatenate(ours), np.concatenate(theirs))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", STEADY)
def test_music_and_mixed_modes_sound_as_with_libopus(name, channels, recorded):
    packets = recorded(name)
    ours = np.concatenate(_outputs(OpusDecoder(48_000, channels), packets))
    theirs = np.concatenate(_outputs(LibopusDecoder(48_000, channels), packets))
    assert _snr_db(theirs, ours) > 90


@pytest.mark.parametrize("name", SWITCHING)
def test_switches_and_pauses_soon_sound_as_with_libopus_again(name, recorded):
    packets = recorded(name)
    ours = _outputs(OpusDecoder(48_000, 2), packets)
    theirs = _outputs(LibopusDecoder(48_000, 2), packets)
    # Where a switch has no redundant frame both make up 5 ms, each in its own way.
    off = sum(np.max(np.abs(a - b)) > 1e-3 for a, b in zip(ours, theirs, strict=True))
    assert off <= 0.06 * len(packets)


def test_a_redundant_frame_that_nothing_led_up_to_is_not_heard(recorded):
    # Speech changes its bandwidth long after the last music: the old music's energies would
    # make the redundant frame as loud as the decoder allows.
    packets = recorded("switch_redundant_2ch")
    for channels in (1, 2):
        ours = _outputs(OpusDecoder(48_000, channels), packets)
        theirs = _outputs(LibopusDecoder(48_000, channels), packets)
        assert max(np.max(np.abs(sound)) for sound in ours) < 1.2
        assert max(np.max(np.abs(a - b)) for a, b in zip(ours, theirs, strict=True)) < 1e-3


def _with_holes(decoder, packets, first, *, is_repaired):
    """Lose every third packet from `first` on; ask it back from the next one, or conceal it."""
    out = np.zeros((5760, decoder.channels), np.float32)
    sounds, samples, is_open = [], 0, False
    for number, (payload, _) in enumerate(packets):
        if number > 0 and number % 3 == first:
            is_open = is_repaired
            if not is_repaired:
                assert decoder.conceal(samples, out) == samples
                sounds.append(out[:samples].copy())
            continue
        if is_open:
            assert decoder.decode_fec(payload, out[:samples]) == samples
            sounds.append(out[:samples].copy())
            is_open = False
        samples = decoder.decode(payload, out)
        sounds.append(out[:samples].copy())
    return np.concatenate(sounds)


def _assert_holes_filled_alike(packets, rate_hz, first, *, is_repaired):
    for channels in (1, 2):
        decoders = OpusDecoder(rate_hz, channels), LibopusDecoder(rate_hz, channels)
        ours, theirs = (_with_holes(d, packets, first, is_repaired=is_repaired) for d in decoders)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("is_repaired", [True, False])
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("fec_NB", "fec_WB"))])
def test_speech_lost_comes_back_or_is_made_up_sample_for_sample_as_with_libopus(
    name, is_repaired, recorded
):
    for first in range(3):
        _assert_holes_filled_alike(recorded(name), 48_000, first, is_repaired=is_repaired)


@pytest.mark.needs_shared
@pytest.mark.parametrize("is_repaired", [True, False])
def test_all_16_streams_with_copies_lose_every_third_packet_as_with_libopus(
    is_repaired, all_recorded
):
    count = 0
    for name, packets in all_recorded:
        if name.startswith(("fec_NB", "fec_WB")):
            _assert_holes_filled_alike(packets, 16_000, count % 3, is_repaired=is_repaired)
            count += 1
    assert count == 16


@pytest.mark.parametrize("name", ["auto_audio_24k", "fec_WB_20ms_1ch", "switch_mode_2ch_2"])
def test_after_a_loss_every_packet_ends_on_the_right_range_again(name, recorded):
    decoder = OpusDecoder(48_000, 1)
    out = np.zeros((5760, 1), np.float32)
    samples = 960
    for i, (payload, final_range) in enumerate(recorded(name)):
        if i % 7 in (3, 4):
            assert decoder.conceal(samples, out) == samples
            assert decoder.final_range == 0
        else:
            samples = decoder.decode(payload, out)
            assert decoder.final_range == final_range


def test_a_copy_goes_on_as_the_original_and_leaves_it_alone(recorded):
    packets = recorded("switch_mode_2ch_2")
    original = OpusDecoder(48_000, 2)
    _outputs(original, packets[:100])
    fork = original.copy()
    expected = _outputs(original, packets[100:150])

    fork_again = fork.copy()
    fork_again.conceal(960, np.zeros((960, 2), np.float32))
    np.testing.assert_array_equal(
        np.concatenate(_outputs(fork, packets[100:150])), np.concatenate(expected)
    )


def test_after_a_reset_nothing_of_the_old_stream_is_left(recorded):
    decoder = OpusDecoder(48_000, 1)
    _outputs(decoder, recorded("chaos_0")[:200])
    decoder.reset()

    packets = recorded("auto_audio_24k")[:30]
    np.testing.assert_array_equal(
        np.concatenate(_outputs(decoder, packets)),
        np.concatenate(_outputs(OpusDecoder(48_000, 1), packets)),
    )


def test_a_buffer_too_small_and_bad_bytes_are_results_and_change_nothing(recorded):
    packets = recorded("fec_WB_20ms_1ch")[:20]
    decoder, undisturbed = OpusDecoder(48_000, 1), OpusDecoder(48_000, 1)
    out = np.zeros((960, 1), np.float32)
    for payload, _ in packets:
        assert decoder.decode(payload, out[:959]) == BUFFER_TOO_SMALL
        assert decoder.decode(np.zeros(0, np.uint8), out) == BAD_PAYLOAD
        assert decoder.decode(np.array([3, 0], np.uint8), out) == BAD_PAYLOAD
        assert decoder.conceal(961, out) == BUFFER_TOO_SMALL
        assert decoder.conceal(100, out) < 0
        decoder.decode(payload, out)
        expected = np.zeros((960, 1), np.float32)
        undisturbed.decode(payload, expected)
        np.testing.assert_array_equal(out, expected)


def test_before_the_first_packet_a_loss_is_silence():
    out = np.ones((960, 2), np.float32)
    assert OpusDecoder(48_000, 2).conceal(960, out) == 960
    assert not out.any()


@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 1), (48_000, 3)])
def test_a_wrong_rate_or_channel_count_is_named_with_what_is_right(rate_hz, channels):
    with pytest.raises(ValueError, match=r"8000, 12000, 16000, 24000, 48000, and 1 or 2"):
        OpusDecoder(rate_hz, channels)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(["decode", "fec", "conceal"]), st.binary(max_size=80)),
        max_size=12,
    ),
    st.sampled_from([8000, 12_000, 16_000, 24_000, 48_000]),
    st.sampled_from([1, 2]),
)
def test_any_bytes_give_bounded_sound_or_a_result(steps, rate_hz, channels):
    decoder = OpusDecoder(rate_hz, channels)
    out = np.zeros((5760, channels), np.float32)
    for step, payload in steps:
        data = np.frombuffer(payload, np.uint8)
        if step == "decode":
            samples = decoder.decode(data, out)
        elif step == "fec":
            samples = decoder.decode_fec(data, out[: rate_hz // 50])
        else:
            samples = decoder.conceal(rate_hz // 50, out)
        assert samples <= 5760
        assert np.all(np.abs(out[: max(samples, 0)]) <= 8.0)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_packet_cut_anywhere_gives_bounded_sound_or_a_result(data):
    names = ["chaos_2", "hybrid_FB_10ms_2ch_96k_vbr1_noise", "silk_WB_20ms_2ch_18k_vbr0_gaps"]
    packets = _CACHE.setdefault(name := data.draw(st.sampled_from(names)), _load(name))
    decoder = OpusDecoder(48_000, 2)
    out = np.zeros((5760, 2), np.float32)
    first = data.draw(st.integers(0, len(packets) - 6))
    for payload in packets[first : first + 5]:
        cut = payload[: data.draw(st.integers(0, payload.size))]
        changed = cut.copy()
        if changed.size > 1 and data.draw(st.booleans()):
            changed[data.draw(st.integers(1, changed.size - 1))] ^= data.draw(st.integers(1, 255))
        samples = decoder.decode(changed, out)
        assert np.all(np.abs(out[: max(samples, 0)]) <= 8.0)


_CACHE = {}


def _load(name):
    data = (Path(__file__).parents[2] / "data" / "opus" / f"{name}.bit").read_bytes()
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(np.frombuffer(data[at + 8 : at + 8 + size], np.uint8).copy())
        at += 8 + size
    return found
