"""Arrival traces from packet captures (classic pcap): RTP, or whatever else is UDP."""

import struct
from array import array
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import ConfigError
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, samples_to_ns
from sim.links.skew import PACKETS_MIN, line_below, turned, without_skew
from sim.links.transits import DELAY_MAX_MS, Recording, in_order

FLOWS_MAX: Final = 65_536
_SPAN_MAX_MS: Final = 366 * DELAY_MAX_MS
_CAPTURED_MAX: Final = 262_144  # bytes of a packet; no capture program keeps more
_PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
_MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""Order of the bytes, and ns of one unit of a packet's fraction of a second."""

_LINKS: Final[dict[int, tuple[int | None, int]]] = {
    1: (12, 14),  # Ethernet
    113: (14, 16),  # Linux cooked, SLL
    276: (0, 20),  # SLL2
    **dict.fromkeys((0, 108), (None, 4)),  # BSD loopback
    **dict.fromkeys((12, 14, 101, 228, 229), (None, 0)),  # raw IP
}
"""Where the kind of what follows stands, and where that begins, by the link type."""

_VLAN: Final = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_IP: Final = (b"\x08\x00", b"\x86\xdd")
_UDP: Final = 17
_EXTENSIONS: Final = (0, 43, 60)  # hop by hop, routing, destination: RFC 8200, section 4
_FRAGMENT: Final = 44

_OFF_MAX: Final = 0.1
"""Part of the time in which even the fastest packet may be late: a queue, and no loss."""

_BACK_NS: Final = 50 * NS_PER_MS
"""Packets of several interfaces in one capture are never so far out of order."""


def is_capture(raw: bytes) -> bool:
    """Return whether a file begins as pcap or pcapng does."""
    return raw[:4] in _MAGICS or raw[:4] == _PCAPNG


def from_capture(path: Path, raw: bytes) -> Recording:
    """Return the transits of the busiest UDP flow of a capture, the fastest of them 0.

    Parameters
    ----------
    path : Path
        Named in what is raised.
    raw : bytes
        The capture. RTP is sent when its time stamps say (48 kHz, RFC 7587, section 4.1), and what
        is missing of its sequence is lost. Packets of other flows are taken to be sent at even
        intervals, and none to be lost. Of a packet in fragments the first one counts.

    Raises
    ------
    ConfigError
        Naming file, packet, value and what would be right.
    """
    flow = _busiest_flow(path, raw)
    since_ns = flow[:, 1] - flow[0, 1]
    far = np.flatnonzero(np.abs(since_ns) > _SPAN_MAX_MS * NS_PER_MS)
    if far.size:
        raise ConfigError(
            f"{path}: packet {flow[far[0], 0]} arrives {since_ns[far[0]] / NS_PER_MS:.6g} ms after "
            f"the first of its flow: must be within {_SPAN_MAX_MS}; was the clock set?"
        )
    back_ns = np.diff(since_ns, prepend=0)
    back = np.flatnonzero(back_ns < -_BACK_NS)
    if back.size:
        raise ConfigError(
            f"{path}: packet {flow[back[0], 0]} arrives {-back_ns[back[0]] / NS_PER_MS:.6g} ms "
            f"before the one before it: at most {_BACK_NS // NS_PER_MS}; was the clock set?"
        )
    flow[:, 1] = since_ns
    stream = _rtp(path, np.frombuffer(raw, np.uint8), flow)
    if stream is None:
        return _even(path, flow)
    number, sequence, sent_ns, interval_ns = stream
    arrival_ns = flow[np.searchsorted(flow[:, 0], number), 1]
    transit_ns = arrival_ns - sent_ns
    right_ns, skew_ppm = without_skew(sent_ns, transit_ns)
    found_ns = in_order(path, sequence, right_ns - right_ns.min(), number, what="packet")
    took_ns = int(since_ns[-1])
    if abs(drift_ns := _drift_ns(transit_ns)) > max(NS_PER_S, took_ns / 16):
        raise ConfigError(
            f"{path}: RTP time stamps leave the arrivals by {drift_ns / NS_PER_MS:.6g} ms in "
            f"{took_ns / NS_PER_MS:.6g} ms: must be of {RATE_HZ} Hz, the clock of Opus"
        )
    return Recording(found_ns, interval_ns, skew_ppm)


def _busiest_flow(path: Path, raw: bytes) -> NDArray[np.int64]:
    """Return (n, 4): number, arrival in ns, place and size of each payload of the largest flow."""
    if raw[:4] == _PCAPNG:
        raise ConfigError(f"{path}: is pcapng: must be pcap, as `editcap -F pcap IN OUT` writes it")
    order, unit_ns = _MAGICS[raw[:4]]
    link = struct.unpack_from(order + "I", raw, 20)[0] & 0xFFFF if len(raw) >= 24 else -1
    if link not in _LINKS:
        raise ConfigError(
            f"{path}: link type = {link}: must be Ethernet (1), Linux cooked (113, 276), raw IP "
            "(101) or BSD loopback (0, 108)"
        )
    header = struct.Struct(order + "IIII")
    flows: dict[bytes, array[int]] = {}
    number, start = 0, 24
    while start + header.size <= len(raw):
        number += 1
        second, fraction, captured, size = header.unpack_from(raw, start)
        if fraction * unit_ns >= NS_PER_S or captured > min(size, _CAPTURED_MAX):
            raise ConfigError(
                f"{path}: packet {number} = {second}.{fraction}, {captured} of {size} bytes: must "
                f"be a fraction below {NS_PER_S // unit_ns} and at most {_CAPTURED_MAX} bytes of "
                "a packet that has as many"
            )
        start, end = start + header.size, start + header.size + captured
        if end > len(raw):  # the last packet of a capture that was ended in the middle
            break
        if found := _datagram(raw, _network(raw, start, end, link), end):
            flow, place, length = found
            if flow not in flows and len(flows) == FLOWS_MAX:
                raise ConfigError(
                    f"{path}: packet {number} begins another flow: at most {FLOWS_MAX}; "
                    "`tcpdump -r IN -w OUT udp port PORT` keeps one"
                )
            arrival_ns = second * NS_PER_S + fraction * unit_ns
            flows.setdefault(flow, array("q")).extend((number, arrival_ns, place, length))
        start = end
    if not flows:
        raise ConfigError(f"{path}: none of its {number} packets is whole UDP over IPv4 or IPv6")
    largest = max(flows.values(), key=len)
    return np.array(largest, np.int64).reshape(-1, 4)


def _network(raw: bytes, start: int, end: int, link: int) -> int:
    """Return where the IP header of a captured packet begins, `end` if it has none."""
    kind_at, length = _LINKS[link]
    network = start + length
    if kind_at is None:
        return network
    kind = raw[start + kind_at : start + kind_at + 2]
    while kind in _VLAN and network + 4 <= end:
        kind, network = raw[network + 2 : network + 4], network + 4
    return network if kind in _IP else end


def _datagram(raw: bytes, start: int, end: int) -> tuple[bytes, int, int] | None:
    """Return flow, place and captured size of a UDP payload; None of all else.

    Of fragments the first one has the ports: when it came counts, and others are none.
    """
    if end - start >= 20 and raw[start] >> 4 == 4:
        udp = start + 4 * (raw[start] & 15)
        hosts, protocol = raw[start + 12 : start + 20], raw[start + 9]
        cut = raw[start + 6] & 0x1F or raw[start + 7] or udp < start + 20
    elif end - start >= 40 and raw[start] >> 4 == 6:
        hosts, cut = raw[start + 8 : start + 40], False
        protocol, udp, cut = _behind_extensions(raw, raw[start + 6], start + 40, end)
    else:
        return None
    if protocol != _UDP or cut or udp + 8 > end:
        return None
    length = int.from_bytes(raw[udp + 4 : udp + 6])  # less than what is there: padding
    if length < 8:
        return None
    return (hosts + raw[udp : udp + 4], udp + 8, min(end, udp + length) - udp - 8)


def _behind_extensions(raw: bytes, protocol: int, at: int, end: int) -> tuple[int, int, bool]:
    """Return what follows the extension headers of IPv6, where, and whether its begin is away."""
    while protocol in (*_EXTENSIONS, _FRAGMENT) and at + 8 <= end:
        if protocol == _FRAGMENT and int.from_bytes(raw[at + 2 : at + 4]) >> 3:
            return protocol, at, True
        length = 8 if protocol == _FRAGMENT else 8 * (raw[at + 1] + 1)
        protocol, at = raw[at], at + length
    return protocol, at, False


def _rtp(
    path: Path, octets: NDArray[np.uint8], flow: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int | None] | None:
    """Return number, extended sequence and time of sending of each packet of RTP, and from one to
    the next; None if it is none.
    """
    count = len(flow)
    flow = flow[flow[:, 3] >= 12]

    def field(place: int, octet_count: int = 1) -> NDArray[np.int64]:
        value = np.zeros(len(flow), np.int64)
        for at in range(place, place + octet_count):
            value = value << 8 | octets[flow[:, 2] + at]
        return value

    is_rtcp = (field(0) >> 6 == 2) & (np.abs((field(1) & 0x7F) - 79.5) < 16)  # RFC 5761, section 4
    count -= int(np.count_nonzero(is_rtcp))
    flow = flow[~is_rtcp]
    flow = flow[field(0) >> 6 == 2]
    if not len(flow) or len(flow) < 0.9 * count:
        return None
    sources, sizes = np.unique(field(8, 4), return_counts=True)
    flow = flow[field(8, 4) == sources[sizes.argmax()]]
    kinds = np.bincount(field(1) & 0x7F)
    step = _steps(field(2, 2), 16)
    if kinds.max() < 0.9 * len(flow) or np.mean((step >= 0) & (step < 1024)) < 0.5:
        return None
    if len(flow) < 0.9 * count:
        if len(flow) < max(10, 0.1 * count):  # something else has these bits by chance
            return None
        raise ConfigError(
            f"{path}: {sources.size} SSRCs share the port of packet {flow[0, 0]}: must be one "
            f"stream; `tshark -r IN -w OUT -F pcap -Y rtp.ssrc=={sources[sizes.argmax()]}` keeps it"
        )
    # After a long outage the clock says how often the numbers went round meanwhile.
    asked = np.diff(flow[:, 1], prepend=flow[0, 1]) * (RATE_HZ / NS_PER_S)
    stamp_step = _gone_round(_steps(field(4, 4), 32), asked, 32, within=60 * RATE_HZ)
    interval_ns = None
    if (step == 1).any() and (samples := float(np.median(stamp_step[step == 1]))) >= 1:
        interval_ns = samples_to_ns(int(samples))
        asked = stamp_step / samples
        step = _gone_round(step, asked, 16, within=1 + np.abs(asked) / 1000)
    longest = 2 * _SPAN_MAX_MS * RATE_HZ // 1000  # beyond it 64 bits are not enough for the ns
    sent = np.clip(np.cumsum(stamp_step), -longest, longest)
    return flow[:, 0], np.cumsum(step), samples_to_ns(sent), interval_ns


def _even(path: Path, flow: NDArray[np.int64]) -> Recording:
    """Return the transits of packets that are taken to be sent at even intervals."""
    flow = flow[np.argsort(flow[:, 1], kind="stable")]
    index = np.arange(len(flow))
    interval_ns = int(np.median(np.diff(flow[:, 1]))) if len(flow) > 1 else 0
    transit_ns = flow[:, 1] - interval_ns * index
    if abs(drift_ns := _drift_ns(transit_ns)) > NS_PER_S:
        raise ConfigError(
            f"{path}: the {len(flow)} packets of UDP come {interval_ns / NS_PER_MS:.6g} ms after "
            f"one another, yet {drift_ns / NS_PER_MS:.6g} ms are over in the end: must be RTP, or "
            "sent at even intervals with none lost"
        )
    if len(flow) >= PACKETS_MIN and interval_ns:
        # The median is a little off, and that adds up: the fastest packets tell the rest.
        nominal_ns = index * interval_ns
        slope_ppb, off_ns = line_below(nominal_ns, transit_ns)
        transit_ns = turned(nominal_ns, transit_ns, slope_ppb)
        interval_ns += interval_ns * slope_ppb // 1_000_000_000
        if (late := float(np.mean(off_ns > interval_ns // 2))) > _OFF_MAX:
            raise ConfigError(
                f"{path}: the {len(flow)} packets of UDP are not sent every "
                f"{interval_ns / NS_PER_MS:.6g} ms, or some are lost: in {late:.0%} of the time "
                "none is where it would be: must be RTP, or sent at even intervals with none lost"
            )
    found_ns = in_order(path, index, transit_ns - transit_ns.min(), flow[:, 0], what="packet")
    return Recording(found_ns, interval_ns or None)


def _drift_ns(transit_ns: NDArray[np.int64]) -> int:
    """Return how much longer the fastest packet at the end takes than the one at the beginning."""
    part = max(1, transit_ns.size // 10, min(transit_ns.size // 2, 10))
    return int(transit_ns[-part:].min()) - int(transit_ns[:part].min())


def _steps(numbers: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return the shortest way from each number of so many bits to the next; 0 for the first."""
    half = 1 << bits - 1
    return (np.diff(numbers, prepend=numbers[0]) + half) % (1 << bits) - half


def _gone_round(
    step: NDArray[np.int64],
    asked: NDArray[np.float64],
    bits: int,
    *,
    within: float | NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return each step, or the one of equal bits that is nearest to what is asked if it is near."""
    near = step + (np.rint((asked - step) / (1 << bits)).astype(np.int64) << bits)
    return np.where(np.abs(near - asked) <= within, near, step)
