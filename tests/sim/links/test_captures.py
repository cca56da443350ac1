"""Captures and what ping printed are read to the packet, or refused in a line."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from node.units import NS_PER_MS
from sim.links.captures import FLOWS_MAX
from sim.links.kernel import LOST_NS
from sim.links.traces import read_trace
from sim.links.transits import DELAY_MAX_MS, GAP_MAX

UNIT_NS = {"d4c3b2a1": 1000, "a1b2c3d4": 1000, "4d3cb2a1": 1, "a1b23c4d": 1}
LITTLE = ("d4c3b2a1", "4d3cb2a1")


def rtp(sequence, stamp, *, kind=111, ssrc=7, size=20):
    return struct.pack(">BBHII", 0x80, kind, sequence % 65536, stamp % 2**32, ssrc) + bytes(size)


def udp(payload, *, port=5004, ip=4, options=0, cut=0):
    whole = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
    if ip == 6:
        return struct.pack(">IHBB", 6 << 28, len(whole), 17, 64) + bytes(range(32)) + whole
    header = struct.pack(
        ">BBHHHBBH", 0x45 + options, 0, 20 + 4 * options + len(whole), 1, cut, 64, 17, 0
    )
    return header + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + bytes(4 * options) + whole


def framed(packet, link, tags=b""):
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    return {
        1: bytes(12) + tags + kind + packet + bytes(5),  # padding at its end
        113: bytes(14) + kind + packet,
        276: kind + bytes(18) + packet,
        101: packet,
        0: struct.pack("<I", 2) + packet,
    }[link]


def pcap(packets, *, magic="d4c3b2a1", link=1, tags=b""):
    """Return a capture of (arrival in ns, IP packet)."""
    order = "<" if magic in LITTLE else ">"
    out = [bytes.fromhex(magic), struct.pack(order + "HHiIII", 2, 4, 0, 0, 65535, link)]
    for arrival_ns, packet in packets:
        frame = framed(packet, link, tags)
        second, ns = divmod(arrival_ns, 10**9)
        out.append(
            struct.pack(order + "IIII", second, ns // UNIT_NS[magic], len(frame), len(frame))
        )
        out.append(frame)
    return b"".join(out)


def read(folder, raw, name="field.log"):
    """Return the trace, or what is wrong with it."""
    path = folder / name
    path.write_bytes(raw)
    try:
        return read_trace(path)
    except ConfigError as fault:
        return str(fault)


def is_one_line(found):
    return isinstance(found, str) and "field.log" in found and "\n" not in found


def stream(transit_ms, *, first=65530, stamp=2**32 - 3000):
    """Return (arrival in ns, RTP payload) of packets of 20 ms; None is lost."""
    return [
        ((1_700_000_000_000 + 20 * i + transit) * NS_PER_MS, rtp(first + i, stamp + 960 * i))
        for i, transit in enumerate(transit_ms)
        if transit is not None
    ]


def capture_of(packets, **changes):
    return pcap([(at, udp(payload)) for at, payload in packets], **changes)


@pytest.mark.parametrize("magic", UNIT_NS)
@pytest.mark.parametrize(
    ("link", "ip", "options", "tags"),
    [
        (1, 4, 0, b""),
        (1, 6, 0, b"\x88\xa8\x00\x05\x81\x00\x00\x06"),
        (113, 4, 3, b""),
        (276, 6, 0, b""),
        (101, 4, 0, b""),
        (0, 6, 0, b""),
    ],
)
def test_a_stream_is_found_among_other_packets_to_the_packet(
    tmp_path, magic, link, ip, options, tags
):
    way = {"ip": ip, "options": options}
    packets = [(at, udp(payload, **way)) for at, payload in stream([9, 5, None, 55, 6, 7, 8, 5])]
    packets[2:4] = packets[3], packets[2]  # one overtakes
    again_at = packets[4][0] + 900 * NS_PER_MS
    packets += [(again_at, packets[4][1])]  # a duplicate
    rtcp = struct.pack(">BBHII", 0x81, 201, 7, 9, 7) + bytes(20)  # a report on a stream like ours
    packets.insert(1, (packets[0][0], udp(rtcp, **way)))
    packets.insert(0, (packets[0][0], udp(b"to another port", port=53, **way)))
    packets.insert(0, (packets[0][0], udp(rtp(9, 9), cut=0x2005) if ip == 4 else bytes(40)))
    found = read(tmp_path, pcap(packets, magic=magic, link=link, tags=tags))
    ms = [LOST_NS if one is None else one * NS_PER_MS for one in [4, 0, None, 50, 1, 2, 3, 0]]
    assert found.tolist() == ms
    assert found.dtype == np.int64


def test_a_capture_is_read_packed_too_and_whatever_its_name(tmp_path):
    raw = capture_of(stream([3, 4, 5]))
    assert read(tmp_path, raw, "a.csv").tolist() == [0, NS_PER_MS, 2 * NS_PER_MS]
    packed = read(tmp_path, gzip.compress(raw), "a.csv.gz")
    assert packed.tolist() == [0, NS_PER_MS, 2 * NS_PER_MS]


@pytest.mark.parametrize("lost", [100, 32_760, 40_000, 70_000, 200_000])
def test_an_outage_is_as_long_as_the_clock_says_though_16_bits_go_round(tmp_path, lost):
    before, after = stream([3] * 50), stream([3] * 50, first=65530 + 50 + lost, stamp=0)
    moved = [
        (at + 20 * (50 + lost) * NS_PER_MS, rtp(65580 + lost + i, 960 * (50 + lost + i) - 3000))
        for i, (at, _) in enumerate(after)
    ]
    found = read(tmp_path, capture_of(before + moved))
    assert found.size == 100 + lost
    assert np.count_nonzero(found == LOST_NS) == lost
    assert found[-1] == 0


def test_a_pause_of_the_sender_is_no_loss(tmp_path):
    before, pause_ms = stream([3] * 50), 3_600_000
    after = [
        (at + (1000 + pause_ms) * NS_PER_MS, rtp(65580 + i, 960 * (50 + i) + 48 * pause_ms - 3000))
        for i, (at, _) in enumerate(before)
    ]
    assert read(tmp_path, capture_of(before + after)).tolist() == [0] * 100


def test_other_packets_are_taken_to_be_sent_at_even_intervals(tmp_path):
    arrivals_ms = [5, 100, 200, 330, 400, 500]
    found = read(tmp_path, capture_of([(at * NS_PER_MS, b"reading") for at in arrivals_ms]))
    assert (found // NS_PER_MS).tolist() == [5, 0, 0, 30, 0, 0]


@pytest.mark.parametrize("change", ["ssrc", "kind", "sequence"])
def test_what_has_the_version_of_rtp_by_chance_is_not_rtp(tmp_path, change):
    packets = []
    for i in range(40):
        odd = {"ssrc": 1000 + i, "kind": 96 + i % 20, "sequence": i * 20_000}
        fields = {"sequence": i, "stamp": 5 * i, change: odd[change]}
        packets.append((20 * i * NS_PER_MS, rtp(**fields)))
    assert read(tmp_path, capture_of(packets)).tolist() == [0] * 40


def test_a_capture_that_was_ended_in_the_middle_of_a_packet_holds_those_before(tmp_path):
    raw = capture_of(stream([3, 4, 5]))
    assert read(tmp_path, raw[:-30]).tolist() == [0, NS_PER_MS]


@pytest.mark.parametrize("ip", [4, 6])
def test_a_packet_in_fragments_came_and_is_not_lost(tmp_path, ip):
    """Its first fragment has the ports and the header of RTP; the others are none by themselves."""
    packets = []
    for i, (at, payload) in enumerate(stream([3] * 30)):
        parts = [udp(payload, ip=ip)]
        if i % 3 == 0 and ip == 4:
            parts = [udp(payload, cut=0x2000), udp(bytes(20), cut=9)]
        if i % 3 == 0 and ip == 6:
            head, rest = parts[0][:40], parts[0][40:]
            head = head[:4] + struct.pack(">H", len(rest) + 16) + b"\x00" + head[7:]
            first = b"\x2c\x00" + bytes(6) + b"\x11\x00\x00\x01" + bytes(4)
            later = b"\x2c\x00" + bytes(6) + b"\x11\x00\x00\x49" + bytes(4)
            parts = [head + first + rest, head + later + rest]
        packets += [(at, one) for one in parts]
    assert read(tmp_path, pcap(packets)).tolist() == [0] * 30


@settings(max_examples=20)
@given(st.integers(10, 60), st.floats(-80, 80), st.integers(0, 99))
def test_even_packets_are_as_late_as_they_are_however_the_middle_one_of_all_steps_lies(
    tmp_path_factory, every_ms, ppm, seed
):
    late_ns = (np.random.default_rng(seed).exponential(3.0, 2500) * NS_PER_MS).astype(np.int64)
    at_ns = (np.arange(2500) * every_ms * NS_PER_MS * (1 + ppm / 1e6)).astype(np.int64) + late_ns
    raw = capture_of([(at, b"reading") for at in np.sort(at_ns).tolist()])
    found = read(tmp_path_factory.mktemp("even"), raw)
    there_ns = np.sort(at_ns) - np.arange(2500) * every_ms * NS_PER_MS * (1 + ppm / 1e6)
    assert np.abs(found - (there_ns - there_ns.min())).max() < 0.5 * NS_PER_MS


@settings(max_examples=20)
@given(st.sets(st.integers(100, 1900), min_size=3, max_size=60))
@example({1000, 1001, 1002})
def test_even_packets_of_which_some_are_lost_are_no_slower_and_slower_ones(tmp_path_factory, lost):
    sent = [20 * i * NS_PER_MS for i in range(2000) if i not in lost]
    found = read(tmp_path_factory.mktemp("even"), capture_of([(at, b"reading") for at in sent]))
    assert "or some are lost" in found


def at_ms(*arrivals_ms):
    return [(at * NS_PER_MS, rtp(i, 960 * i)) for i, at in enumerate(arrivals_ms)]


def slow_clock():
    return [(20 * i * NS_PER_MS, rtp(i, 160 * i)) for i in range(100)]


def two_sources():
    return [(20 * i * NS_PER_MS, rtp(i // 2, 480 * i, ssrc=7 + i % 2)) for i in range(100)]


def set_ahead(ms):
    """Return a stream in which the clock of the capture is set ahead."""
    return [(at + ms * NS_PER_MS * (i > 50), b) for i, (at, b) in enumerate(stream([0] * 100))]


def gap(lost, times=1):
    later = [lost * i for i in range(1, times + 1)]
    return [*at_ms(*range(0, 1000, 20)), *((20 * i * NS_PER_MS, rtp(i, 960 * i)) for i in later)]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "editcap -F pcap"),
        (b"\xd4\xc3\xb2\xa1", "link type = -1: must be Ethernet"),
        (pcap([])[:20] + struct.pack("<I", 147), "link type = 147: must be Ethernet"),
        (pcap([]), "none of its 0 packets is whole UDP"),
        (pcap([(0, udp(b"", cut=0x2001))]), "none of its 1 packets is whole UDP"),
        (pcap([(0, udp(b"")[:24] + bytes(4))]), "none of its 1 packets is whole UDP"),
        (pcap([(0, udp(b"", cut=7))]), "none of its 1 packets is whole UDP"),
        (pcap([]) + struct.pack("<IIII", 1, 1_000_000, 0, 0), "packet 1 = 1.1000000"),
        (pcap([]) + struct.pack("<IIII", 1, 0, 9, 8) + bytes(9), "packet 1 = 1.0, 9 of 8 bytes"),
        (capture_of(at_ms(0, 20, 400 * 86_400_000)), "packet 3 arrives .* was the clock set"),
        (capture_of(at_ms(0, 20, 41 + DELAY_MAX_MS)), "packet 3 takes .* at most 86400000"),
        (capture_of(set_ahead(3 * DELAY_MAX_MS)), "packet 52 takes .* at most 86400000"),
        (capture_of(gap(GAP_MAX + 50)), "packet 51 is 3000001 sequence numbers after"),
        (capture_of(gap(GAP_MAX, 34)), "packet 84 ends a span of 102000001 sequence numbers"),
        (capture_of(set_ahead(-300)), "packet 52 arrives 280 ms before the one before it"),
        (capture_of(slow_clock()), "must be of 48000 Hz"),
        (capture_of(two_sources()), "2 SSRCs share the port of packet 1: must be one"),
        (
            capture_of([(100 * i * NS_PER_MS, b"") for i in [*range(50), *range(90, 150)]]),
            "4000 ms are over in the end: must be RTP",
        ),
    ],
)
def test_a_capture_that_is_no_trace_is_refused_in_one_line(tmp_path, raw, words):
    path = tmp_path / "a.pcap"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=words) as fault:
        read_trace(path)
    assert str(path) in str(fault.value) and "\n" not in str(fault.value)


def test_the_longest_gap_is_read(tmp_path):
    assert read(tmp_path, capture_of(gap(GAP_MAX + 49))).size == GAP_MAX + 50


@pytest.mark.parametrize("more", [0, 1])
def test_a_capture_holds_so_many_flows_and_no_more(tmp_path, more):
    packets = [(0, udp(b"", port=port)) for port in range(FLOWS_MAX)]
    found = read(tmp_path, pcap(packets + [(0, udp(b"", ip=6))] * more, link=101))
    if more:
        assert f"packet {FLOWS_MAX + 1} begins another flow: at most {FLOWS_MAX}" in found
    else:
        assert found.tolist() == [0]


VALID = [
    capture_of(stream([9, 5, None, 55, 6, 7, 8, 5]), link=1),
    pcap([(at, udp(b, ip=6)) for at, b in stream([1, 2, 3])], magic="a1b23c4d", link=276),
    capture_of([(at * NS_PER_MS, b"reading") for at in (5, 100, 200)], link=113),
    b"\n".join(
        [
            b"PING a (1.2.3.4) 56(84) bytes of data.",
            b"64 bytes from 1.2.3.4: icmp_seq=1 ttl=55 time=33.1 ms",
            b"no answer yet for icmp_seq=2",
            b"64 bytes from 1.2.3.4: icmp_seq=3 ttl=55 time=31 ms",
            b"4 packets transmitted, 2 received, 50% packet loss, time 3004ms",
        ]
    ),
    b"seq,send_ms,arrival_ms\n7,0,3\n8,20,\n9,40,45\n",
]
CHANGE = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"9", b"\xff" * 4, b'"', b"-"])),
    st.sampled_from(["replace", "insert", "cut"]),
)


@settings(max_examples=300)
@given(st.sampled_from(VALID), st.lists(CHANGE, min_size=1, max_size=6), st.booleans())
@example(VALID[4], [(0.5, b'"' + b"x" * 140_000, "insert")], False)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path_factory, raw, changes, packed):
    raw = gzip.compress(raw, mtime=0) if packed else raw
    for where, octets, how in changes:
        at = int(where * len(raw))
        rest = {"replace": raw[at + len(octets) :], "insert": raw[at:], "cut": b""}[how]
        raw = raw[:at] + octets + rest
    found = read(tmp_path_factory.mktemp("any"), raw, "field.log.gz" if packed else "field.log")
    if not is_one_line(found):
        assert found.size and found.min() >= LOST_NS
        assert found.max() <= DELAY_MAX_MS * NS_PER_MS


@pytest.mark.parametrize("size", range(0, len(VALID[0]), 7))
def test_a_capture_cut_anywhere_is_read_or_refused_in_one_line(tmp_path, size):
    found = read(tmp_path, VALID[0][:size])
    assert is_one_line(found) or found.size <= 8


def answers(*sequences, head="", tail=""):
    lines = [f"64 bytes from 1.2.3.4: icmp_seq={i} ttl=55 time={i}.5 ms" for i in sequences]
    return "\n".join([*head.splitlines(), *lines, tail]).encode()


def test_what_ping_printed_is_half_of_each_round_trip(tmp_path):
    text = b"""PING loa.example (1.2.3.4) 56(84) bytes of data.
[1700000000.123456] 64 bytes from 1.2.3.4: icmp_seq=2 ttl=55 time=33.1 ms
64 bytes from 1.2.3.4: icmp_seq=2 ttl=55 time=90.1 ms (DUP!)
no answer yet for icmp_seq=3
no answer yet for icmp_seq=4
64 bytes from loa.example (1.2.3.4): icmp_seq=3 ttl=55 time=1204 ms
From 10.0.0.1 icmp_seq=5 Destination Host Unreachable
64 bytes from 1.2.3.4: icmp_seq=7 ttl=55 time=0.041 ms

--- loa.example ping statistics ---
9 packets transmitted, 3 received, +1 duplicates, 66% packet loss, time 8004ms
rtt min/avg/max/mdev = 0.041/33.1/1204/0.2 ms
"""
    lost = LOST_NS
    expected = [lost, 16_550_000, 602_000_000, lost, lost, lost, 20_500, lost, lost]
    assert read(tmp_path, text).tolist() == expected
    assert read(tmp_path, gzip.compress(text), "p.gz").tolist() == expected


def test_a_log_of_ping_that_begins_later_begins_with_its_first_line(tmp_path):
    assert (read(tmp_path, answers(9, 11)) // 250_000).tolist() == [19, -1, 23]


def test_ping_counts_on_beyond_16_bits(tmp_path):
    text = answers(65534, 65535, 1, tail="no answer yet for icmp_seq=2")
    found = read(tmp_path, text)
    assert (found == LOST_NS).tolist() == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("64 bytes from 1.2.3.4: icmp_seq=2 ttl=55 time=-3 ms", "line 2 = .* at least 0 ms"),
        ("64 bytes from 1.2.3.4: icmp_seq=2 ttl=55 time=nan ms", "line 2 = .* at least 0 ms"),
        ("64 bytes from 1.2.3.4: icmp_seq=2 ttl=55 time=1e9 ms", "line 2 = .* at most 86400000"),
        ("64 bytes from 1.2.3.4: icmp_seq=2 ttl=55 time=3 s", "line 2 = .* ms"),
        ("16 bytes from 1.2.3.4: icmp_seq=2 ttl=55", "line 2 = .* ping -s 56"),
        ("64 octets de 1.2.3.4 : icmp_seq=2 ttl=55 temps=3 ms", "line 2 = .*LC_ALL=C ping"),
        ("64 bytes from 1.2.3.4: icmp_seq=65536 ttl=55 time=3 ms", "line 2 = .* at most 65535"),
        ("PING a (1.2.3.4) 56(84) bytes of data.", "line 2 = .* of one ping"),
    ],
)
def test_a_wrong_line_of_ping_is_named(tmp_path, line, words):
    path = tmp_path / "p.txt"
    path.write_bytes(answers(1) + line.encode())
    with pytest.raises(ConfigError, match=words):
        read_trace(path)


def test_a_ping_that_nobody_answered_is_refused(tmp_path):
    text = b"PING a (1.2.3.4) 56(84) bytes of data.\nno answer yet for icmp_seq=1\n"
    assert "no packet of it is answered" in read(tmp_path, text)


def test_a_summary_that_counts_more_than_a_trace_holds_is_refused(tmp_path):
    text = answers(1, head="PING a", tail=f"{GAP_MAX + 3} packets transmitted, 1 received")
    assert f"line 3 is {GAP_MAX + 2} sequence numbers after" in read(tmp_path, text)
