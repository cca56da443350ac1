"""Packets are split, accepted and refused as libopus does it."""

import ctypes

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opuslib_next.api import libopus

from node.opus import packet
from node.opus.protocol import BAD_PAYLOAD

_tocs = st.integers(0, 255)
_sizes = st.lists(st.integers(0, 300), min_size=1, max_size=12)


def _coded(size):
    return bytes([size]) if size < 252 else bytes([252 + (size & 3), (size - 252) // 4])


@st.composite
def _packets(draw):
    """Packets that are mostly whole, then changed in a byte or cut."""
    toc = draw(_tocs)
    sizes = draw(_sizes)
    code = toc & 3
    padding = draw(st.sampled_from([None, 0, 1, 254, 255, 300, 700]))
    if code == 0:
        head, sizes = b"", sizes[:1]
    elif code == 1:
        head, sizes = b"", [sizes[0]] * 2
    elif code == 2:
        sizes = [sizes[0], sizes[-1]]
        head = _coded(sizes[0])
    else:
        vbr = draw(st.booleans())
        sizes = sizes if vbr else [sizes[0]] * len(sizes)
        head = bytes([len(sizes) | vbr << 7 | (padding is not None) << 6])
        if padding is not None:
            head += b"\xff" * (padding // 254) + bytes([padding % 254])
        if vbr:
            head += b"".join(_coded(size) for size in sizes[:-1])
    tail = bytes(padding or 0) if code == 3 else b""
    whole = bytes([toc]) + head + draw(st.randoms()).randbytes(sum(sizes)) + tail
    if draw(st.booleans()) and len(whole) > 1:
        at = draw(st.integers(1, min(len(whole), 12) - 1))
        whole = whole[:at] + bytes([draw(st.integers(0, 255))]) + whole[at + 1 :]
    if draw(st.booleans()):
        whole = whole[: draw(st.integers(0, len(whole)))]
    return whole


_any_packet = st.one_of(st.binary(max_size=30), _packets())


def _libopus_frames(payload):
    begins = (ctypes.c_char_p * 48)()
    pointers = ctypes.cast(begins, ctypes.POINTER(ctypes.c_void_p))
    sizes = (ctypes.c_int16 * 48)()
    buffer = ctypes.create_string_buffer(payload, max(1, len(payload)))
    count = libopus.opus_packet_parse(buffer, len(payload), None, pointers, sizes, None)
    start = ctypes.addressof(buffer)
    return count, [((pointers[i] or start) - start, sizes[i]) for i in range(max(0, count))]


def _array(payload):
    return np.frombuffer(payload, np.uint8).copy()  # kernels want a writable array


def _embedded(payload):
    """Return the payload with strange bytes around it, and where it starts."""
    return _array(b"\xff" * 12 + payload + b"\xff" * 3), 12


@settings(deadline=None, max_examples=1000)
@given(_any_packet)
@example(b"\x03\x81")
@example(b"\x02\xfc")
@example(b"\x03\x41\xff\xff")
def test_frames_are_where_libopus_finds_them(payload):
    data, offset = _embedded(payload)
    frames = np.zeros((packet.FRAMES_MAX, 2), np.int64)
    count = packet.parse_frames(data, offset, len(payload), frames)

    expected_count, expected = _libopus_frames(payload)
    assert count == expected_count or (count == BAD_PAYLOAD and expected_count < 0)
    if count > 0:
        assert [(a - offset, n) for a, n in frames[:count].tolist()] == expected


@settings(deadline=None, max_examples=500)
@given(_any_packet)
def test_the_duration_is_libopus_s_wherever_the_packet_is_valid(payload):
    data, offset = _embedded(payload)
    samples = packet.packet_samples(data, offset, len(payload))

    if _libopus_frames(payload)[0] < 0:
        assert samples == BAD_PAYLOAD
    else:
        assert samples == libopus.opus_packet_get_nb_samples(payload, len(payload), 48_000)


@settings(deadline=None, max_examples=500)
@given(_any_packet)
@example(b"\x03\x81")  # one frame of coded length, and empty
@example(b"\x03\x81\x00")
@example(b"\x03\x81\x40")
def test_in_band_fec_is_seen_where_libopus_sees_it(payload):
    if not hasattr(libopus, "opus_packet_has_lbrr"):
        pytest.skip("this libopus is older than opus_packet_has_lbrr (1.5)")
    data, offset = _embedded(payload)
    expected = libopus.opus_packet_has_lbrr(payload, len(payload)) if payload else 0
    assert packet.has_lbrr(data, offset, len(payload)) == max(0, expected)


@pytest.mark.parametrize("toc", range(256))
def test_the_first_byte_says_duration_channels_and_bandwidth(toc):
    byte = bytes([toc])
    samples = libopus.opus_packet_get_samples_per_frame(byte, 48_000)
    assert packet.toc_frame_samples(toc) == samples
    assert packet.toc_channels(toc) == libopus.opus_packet_get_nb_channels(byte)
    assert packet.toc_bandwidth(toc) == libopus.opus_packet_get_bandwidth(byte) - 1101
