"""Many decoders on one stream: decoded once, and no sample differs from decoding alone."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.decoder import BUFFER_TOO_SMALL
from node.opus.decoder import OpusDecoder
from node.opus.shared import DecodeCache, decode_batch


def _step(decoder, packets, i, fate, out):
    """Play packet `i` as its fate wants it; return result, sound and range."""
    if fate == "lost":
        result = decoder.conceal(960, out)
    elif fate == "fec":
        result = decoder.decode_fec(packets[i][0], out[:960])
    else:
        result = decoder.decode(packets[i][0], out)
    return result, out[: max(result, 0)].copy(), decoder.final_range


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(st.sampled_from(["good", "good", "good", "lost", "fec"]), max_size=12),
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


def test_a_batch_on_threads_gives_each_stream_its_own_sound(recorded):
    streams = [recorded(name)[:40] for name in ("auto_audio_24k", "fec_WB_20ms_1ch")] * 4
    decoders = [OpusDecoder(48_000, 1) for _ in streams]
    outs = [np.zeros((960, 1), np.float32) for _ in streams]
    with ThreadPoolExecutor(2) as pool:
        for i in range(40):
            payloads = [packets[i][0] for packets in streams]
            assert decode_batch(decoders, payloads, outs, run=pool.map) == [960] * len(streams)
            for decoder, packets in zip(decoders, streams, strict=True):
                assert decoder.final_range == packets[i][1]


def _packets():
    data = Path(__file__).parents[2].joinpath("data", "opus", "fec_WB_20ms_1ch.bit").read_bytes()
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((np.frombuffer(data[at + 8 : at + 8 + size], np.uint8).copy(), 0))
        at += 8 + size
    return found


_PACKETS = _packets()
