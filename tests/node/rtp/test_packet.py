import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from node.rtp import packet

octets = st.binary(max_size=200)


def parse(data: bytes) -> tuple[int, list[int]]:
    header = np.zeros(packet.HEADER_FIELDS, np.int64)
    kind = packet.parse(np.frombuffer(bytearray(data), np.uint8), header)
    return kind, [int(x) for x in header]


@given(
    octets,
    st.integers(0, 2**17),
    st.integers(0, 2**33),
    st.integers(0, 2**32 - 1),
    st.integers(0, 63) | st.integers(96, 127),
    st.booleans(),
)
def test_what_is_built_is_what_is_parsed(payload, sequence, timestamp, ssrc, payload_type, marker):
    data = packet.build(
        payload,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        payload_type=payload_type,
        marker=marker,
    )
    kind, header = parse(data)

    assert kind == packet.RTP
    assert header[packet.PAYLOAD_TYPE] == payload_type
    assert header[packet.MARKER] == marker
    assert header[packet.SEQUENCE] == sequence % 2**16
    assert header[packet.TIMESTAMP] == timestamp % 2**32
    assert header[packet.SSRC] == ssrc
    begin = header[packet.PAYLOAD_OFFSET]
    assert data[begin : begin + header[packet.PAYLOAD_BYTES]] == payload


@given(
    octets,
    st.integers(0, 15),
    st.none() | st.integers(0, 10),
    st.integers(0, 20),
)
def test_contributing_sources_extension_and_padding_are_stepped_over(
    payload, csrcs, extension_words, padding
):
    first = 0x80 | csrcs | (0x10 if extension_words is not None else 0) | (0x20 if padding else 0)
    data = bytes([first, 96]) + bytes(10) + bytes(4 * csrcs)
    if extension_words is not None:
        data += bytes([0xBE, 0xDE, 0, extension_words]) + bytes(4 * extension_words)
    data += payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")
    kind, header = parse(data)

    assert kind == packet.RTP
    begin = header[packet.PAYLOAD_OFFSET]
    assert data[begin : begin + header[packet.PAYLOAD_BYTES]] == payload


@given(st.binary(max_size=64))
@example(b"\x80\x60" + bytes(9))
@example(bytes([0xB0, 96]) + bytes(10) + b"\xbe\xde\xff\xff")
@example(bytes([0xA0, 96]) + bytes(10) + b"\x00")
def test_no_bytes_make_the_parser_read_outside_of_the_datagram(data):
    kind, header = parse(data)

    assert kind in (packet.RTP, packet.RTCP, packet.TOO_SHORT, packet.MALFORMED)
    if kind == packet.RTP:
        assert 12 <= header[packet.PAYLOAD_OFFSET] <= len(data)
        assert header[packet.PAYLOAD_OFFSET] + header[packet.PAYLOAD_BYTES] <= len(data)
        assert header[packet.PAYLOAD_BYTES] >= 0


def test_a_packet_cut_at_any_length_is_refused_or_shorter():
    whole = bytes([0x91, 96]) + bytes(10) + bytes(4) + b"\xbe\xde\x00\x01" + bytes(4) + b"payload"
    for length in range(len(whole)):
        kind, _ = parse(whole[:length])
        assert kind == (packet.RTP if length >= 24 else packet.TOO_SHORT)
