"""Many decoders on one stream: decoded once, and no sample differs from decoding alone."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.opus.decoder import OpusDecoder
from node.opus.protocol import BAD_PAYLOAD, BUFFER_TOO_SMALL
from sim.fleet.decode_cache import DecodeCache
from sim.fleet.decoders import OpusBatch


def _step(decoder, packets, i, fate, out):
    """Play packet `i` as its fate wants it; return result, sound and range."""
    if fate == "lost":
        result = decoder.conceal(960, out)
    elif fate == "hole":
        later = packets[i + 2][0]
        result = decoder.interpolate(packets[i + 1][0], 960, out[:960], later=later)
    elif fate == "begun":  # the rest of the hole is not asked for
        later = packets[i + 3][0]
        result = decoder.interpolate(packets[i + 2][0], 1920, out[:960], later=later)
    elif fate == "fec":
        result = decoder.decode_fec(packets[i][0], out[:960])
    else:
        result = decoder.decode(packets[i][0], out)
    return result, out[: max(result, 0)].copy(), decoder.final_range


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(
            st.sampled_from(["good", "good", "good", "lost", "fec", "hole", "begun"]), max_size=12
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 20),
)
def test_each_node_hears_what_it_would_have_decoded_alone(fates_of_nodes, histories_max):
    cache = DecodeCache(48_000, 1, histories_max=histories_max)
    packets = _PACKETS
    out, alone_out = np.zeros((5760, 1), np.float32), np.zeros((5760, 1), np.float32)
    for fates in fates_of_nodes:
        shared, alone = cache.decoder(), OpusDecoder(48_000, 1)
        for i, fate in enumerate(fates):
            result, sound, final_range = _step(shared, packets, i, fate, out)
            expected = _step(alone, packets, i, fate, alone_out)
            assert (result, final_range) == (expected[0], expected[2])
            np.testing.assert_array_equal(sound, expected[1])


def test_what_a_thousand_nodes_hear_is_decoded_once(recorded):
    packets = recorded("auto_audio_24k")[:20]
    cache = DecodeCache(48_000, 1)
    decoders = [cache.decoder() for _ in range(1000)]
    out = np.zeros((5760, 1), np.float32)
    for payload, final_range in packets:
        for decoder in decoders:
            decoder.decode(payload, out)
            assert decoder.final_range == final_range
    assert cache.decoded == len(packets)


def test_a_buffer_too_small_leaves_the_shared_decoder_where_it_was(recorded):
    packets = recorded("auto_audio_24k")[:2]
    decoder = DecodeCache(48_000, 1).decoder()
    out = np.zeros((960, 1), np.float32)
    assert decoder.decode(packets[0][0], out[:100]) == BUFFER_TOO_SMALL
    assert decoder.conceal(961, out) == BUFFER_TOO_SMALL
    for payload, final_range in packets:
        assert decoder.decode(payload, out) == 960
        assert decoder.final_range == final_range


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_batch_on_threads_gives_each_stream_its_own_sound(parts, recorded):
    streams = [recorded(name)[:40] for name in ("auto_audio_24k", "fec_WB_20ms_1ch")] * 4
    batch = OpusBatch(48_000, 1, len(streams), parts=parts)
    alone = [OpusDecoder(48_000, 1) for _ in streams]
    outs, wanted = np.zeros((len(streams), 960, 1), np.float32), np.zeros((960, 1), np.float32)
    with ThreadPoolExecutor(parts) as pool:
        for i in range(40):
            payloads = [packets[i][0] for packets in streams]
            assert batch.decode(payloads, outs, run=pool.map).tolist() == [960] * len(streams)
            for number, (decoder, packets) in enumerate(zip(alone, streams, strict=True)):
                decoder.decode(payloads[number], wanted)
                np.testing.assert_array_equal(outs[number], wanted)
                assert batch.state(number).final_range == packets[i][1]


def test_a_bad_packet_in_a_batch_is_a_result_and_a_wrong_shape_is_named(recorded):
    batch = OpusBatch(48_000, 1, 2)
    good = recorded("auto_audio_24k")[0][0]
    results = batch.decode([good, np.zeros(0, np.uint8)], np.zeros((2, 960, 1), np.float32))
    assert results.tolist() == [960, BAD_PAYLOAD]
    for payloads, channels in (([good], 1), ([good, good], 2)):
        with pytest.raises(ValueError, match="must be 2"):
            batch.decode(payloads, np.zeros((2, 960, channels), np.float32))
    for arguments in ((44_100, 1, 2, 1), (48_000, 1, 0, 1), (48_000, 1, 2, 3)):
        with pytest.raises(ValueError, match="is"):
            OpusBatch(*arguments[:3], parts=arguments[3])


def _packets():
    data = Path(__file__).parents[2].joinpath("data", "opus", "fec_WB_20ms_1ch.bit").read_bytes()
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((np.frombuffer(data[at + 8 : at + 8 + size], np.uint8).copy(), 0))
        at += 8 + size
    return found


_PACKETS = _packets()
