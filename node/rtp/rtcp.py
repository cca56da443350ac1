"""RTCP: what sender and node tell each other about a stream (RFC 3550, 3611, 4585).

A datagram is a compound of packets. `parse` takes any bytes and never raises; what is not RTCP is
None and is counted by the caller. `build` makes a compound of the same records, which
`node.rtp.rtcp_packet` holds and this module passes on.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from node.rtp.rtcp_packet import (
    Application,
    ExtendedReport,
    Goodbye,
    Nack,
    Packet,
    ReceiverReport,
    ReplyTime,
    ReportBlock,
    SenderReport,
    SourceDescription,
)
from node.units import NS_PER_S

__all__ = [
    "Application",
    "ExtendedReport",
    "Goodbye",
    "Nack",
    "Packet",
    "ReceiverReport",
    "ReplyTime",
    "ReportBlock",
    "SenderReport",
    "SourceDescription",
    "build",
    "is_feedback",
    "middle_of_ntp",
    "ns_of_middle",
    "ns_of_ntp",
    "ntp_of_ns",
    "parse",
    "written",
]

COMPOUND_BYTES_MAX: Final = 1472
"""Longest datagram that is looked at: what fits an Ethernet frame."""
BLOCKS_MAX: Final = 31
"""Report blocks, chunks or sources of one packet: its count has 5 bits."""
NAME_BYTES_MAX: Final = 255

_SR: Final = 200
_RR: Final = 201
_SDES: Final = 202
_BYE: Final = 203
_APP: Final = 204
_RTPFB: Final = 205
_XR: Final = 207
_FIRST: Final = (_SR, _RR, _RTPFB)  # RFC 5506: a feedback message may travel alone
_HEADER: Final = struct.Struct("!BBH")
_SSRC: Final = struct.Struct("!I")
_SSRCS: Final = struct.Struct("!II")
_NTP: Final = struct.Struct("!Q")
_SENDER_INFO: Final = struct.Struct("!IQIII")
_REPORT_BLOCK: Final = struct.Struct("!6I")
_SDES_ITEM: Final = struct.Struct("!IBB")
_APP_NAME: Final = struct.Struct("!I4s")
_NACK_ENTRY: Final = struct.Struct("!HH")
_RRTR_BLOCK: Final = struct.Struct("!BBHQ")
_RRTR_ALONE: Final = struct.Struct("!BBHIBBHQ")
_DLRR_BLOCK: Final = struct.Struct("!III")

_CNAME: Final = 1
_GENERIC_NACK: Final = 1
_RRTR: Final = 4
_DLRR: Final = 5
_WORD: Final = 0xFFFFFFFF


def ntp_of_ns(time_ns: int) -> int:
    """Return `time_ns` as a 64-bit NTP time stamp: 32 bits of seconds, 32 of their fraction."""
    return ((time_ns << 32) // NS_PER_S) & 0xFFFFFFFFFFFFFFFF


def ns_of_ntp(ntp: int) -> int:
    """Return the ns of a 64-bit NTP time stamp; exact for what `ntp_of_ns` made below 2^32 s."""
    return (ntp * NS_PER_S + (1 << 31)) >> 32


def middle_of_ntp(ntp: int) -> int:
    """Return the middle 32 bits, by which reports refer to each other (1/65536 s)."""
    return (ntp >> 16) & _WORD


def ns_of_middle(middle: int, near_ns: int) -> int:
    """Return the time nearest to `near_ns` whose NTP time stamp has this middle (to 1/65536 s)."""
    away = (middle - middle_of_ntp(ntp_of_ns(near_ns)) + (1 << 31)) % (1 << 32) - (1 << 31)
    return (((near_ns << 16) // NS_PER_S + away) * NS_PER_S + (1 << 15)) >> 16


def parse(data: bytes) -> tuple[Packet, ...] | None:
    """Return the packets of a compound, those of unknown type left out; None if it is not RTCP.

    Parameters
    ----------
    data : bytes
        One datagram. The checks are those of RFC 3550, A.2, but a feedback message may stand
        alone (RFC 5506).
    """
    size = len(data)
    if not 4 <= size <= COMPOUND_BYTES_MAX or data[1] not in _FIRST:
        return None
    packets: list[Packet] = []
    at = 0
    while at < size:
        if size - at < 4:
            return None
        first, kind, words = _HEADER.unpack_from(data, at)
        begin = at + 4
        at = end = begin + 4 * words
        if first >> 6 != 2 or end > size:
            return None
        if first & 0x20:
            padding = data[end - 1]
            if end != size or not 0 < padding <= end - begin or padding % 4:
                return None
            end -= padding
        reader = _READERS.get(kind)
        # Where one is read in the whole datagram: a part cut out of it is one more object each.
        if reader is not None and not reader(packets, first & 31, data, begin, end):
            return None
    return tuple(packets)


def is_feedback(data: bytes) -> bool:
    """Return whether a datagram is feedback that stands alone (RFC 5506), such as a Nack."""
    return len(data) > 1 and data[1] == _RTPFB


def build(packets: Sequence[Packet | bytes]) -> bytes:
    """Return the compound of `packets`; the first must be a report or a Nack.

    Parameters
    ----------
    packets : sequence
        Each may be what `written` made of it.

    Raises
    ------
    ValueError
        If a packet has more entries than its count can say, or the datagram becomes too long.
    """
    data = b"".join([_WRITERS[type(packet)](packet) for packet in packets])
    if len(data) > COMPOUND_BYTES_MAX:
        raise ValueError(f"the compound has {len(data)} bytes: at most {COMPOUND_BYTES_MAX} fit")
    return data


def written(packet: Packet) -> bytes:
    """Return a packet as `build` puts it into a compound: of one that is the same in many.

    Raises
    ------
    ValueError
        If it has more entries than its count can say.
    """
    return _WRITERS[type(packet)](packet)


def _read_blocks(count: int, data: bytes, at: int, end: int) -> tuple[ReportBlock, ...] | None:
    if end < at + 24 * count:
        return None
    blocks = []
    for one in range(at, at + 24 * count, 24):
        ssrc, loss, sequence, jitter, last, delay = _REPORT_BLOCK.unpack_from(data, one)
        lost = (loss & 0xFFFFFF) - ((loss & 0x800000) << 1)
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, sequence, jitter, last, delay))
    return tuple(blocks)


def _read_sender_report(packets: list[Packet], count: int, data: bytes, at: int, end: int) -> bool:
    blocks = _read_blocks(count, data, at + 24, end)
    if blocks is None:
        return False
    ssrc, ntp, timestamp, sent, payload_bytes = _SENDER_INFO.unpack_from(data, at)
    packets.append(SenderReport(ssrc, ntp, timestamp, sent, payload_bytes, blocks))
    return True


def _read_receiver_report(
    packets: list[Packet], count: int, data: bytes, at: int, end: int
) -> bool:
    blocks = _read_blocks(count, data, at + 4, end)
    if blocks is None:
        return False
    packets.append(ReceiverReport(_SSRC.unpack_from(data, at)[0], blocks))
    return True


def _read_source_description(
    packets: list[Packet], count: int, data: bytes, at: int, end: int
) -> bool:
    begin = at
    for _ in range(count):
        if end < at + 4:
            return False
        ssrc = _SSRC.unpack_from(data, at)[0]
        at += 4
        while at < end and data[at] != 0:
            if end < at + 2 or end < at + 2 + data[at + 1]:
                return False
            after = at + 2 + data[at + 1]
            if data[at] == _CNAME:
                packets.append(SourceDescription(ssrc, data[at + 2 : after]))
            at = after
        at += 4 - (at - begin) % 4  # the null octet that ends the list, and the chunk's padding
    return True


def _read_goodbye(packets: list[Packet], count: int, data: bytes, at: int, end: int) -> bool:
    if end < at + 4 * count:
        return False
    packets.append(Goodbye(struct.unpack_from(f"!{count}I", data, at)))
    return True


def _read_application(packets: list[Packet], subtype: int, data: bytes, at: int, end: int) -> bool:
    if end < at + 8:
        return False
    ssrc, name = _APP_NAME.unpack_from(data, at)
    packets.append(Application(ssrc, subtype, name, data[at + 8 : end]))
    return True


def _read_feedback(packets: list[Packet], kind: int, data: bytes, at: int, end: int) -> bool:
    if kind != _GENERIC_NACK:
        return True
    if end < at + 12:
        return False
    ssrc, media_ssrc = _SSRCS.unpack_from(data, at)
    sequences: list[int] = []
    for first, following in _NACK_ENTRY.iter_unpack(data[at + 8 : end]):
        sequences.append(first)
        bits = (bit for bit in range(16) if following >> bit & 1)
        sequences += [(first + 1 + bit) & 0xFFFF for bit in bits]
    packets.append(Nack(ssrc, media_ssrc, tuple(dict.fromkeys(sequences))))
    return True


def _read_extended_report(packets: list[Packet], _: int, data: bytes, at: int, end: int) -> bool:
    if end < at + 4:
        return False
    ssrc = _SSRC.unpack_from(data, at)[0]
    ntp: int | None = None
    replies: list[ReplyTime] = []
    at += 4
    while at < end:
        kind, _, words = _HEADER.unpack_from(data, at)
        at += 4
        after = at + 4 * words
        if after > end:
            return False
        if kind == _RRTR and words == 2:
            ntp = _NTP.unpack_from(data, at)[0]
        elif kind == _DLRR and words % 3 == 0:
            replies += [ReplyTime(*one) for one in _DLRR_BLOCK.iter_unpack(data[at:after])]
        at = after
    packets.append(ExtendedReport(ssrc, ntp, tuple(replies)))
    return True


_READERS: Final[dict[int, Callable[[list[Packet], int, bytes, int, int], bool]]] = {
    _SR: _read_sender_report,
    _RR: _read_receiver_report,
    _SDES: _read_source_description,
    _BYE: _read_goodbye,
    _APP: _read_application,
    _RTPFB: _read_feedback,
    _XR: _read_extended_report,
}


def _framed(kind: int, count: int, body: bytes) -> bytes:
    if not 0 <= count <= BLOCKS_MAX:
        raise ValueError(f"a packet of type {kind} has {count} entries: at most {BLOCKS_MAX} fit")
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _blocks_bytes(blocks: tuple[ReportBlock, ...]) -> bytes:
    data = b""
    for b in blocks:
        data += _REPORT_BLOCK.pack(
            b.ssrc,
            (b.lost_per_256 << 24) | (b.packets_lost & 0xFFFFFF),
            b.extended_sequence & _WORD,
            b.jitter_samples & _WORD,
            b.last_sr,
            b.since_last_sr & _WORD,
        )
    return data


def _write_sender_report(p: SenderReport) -> bytes:
    words = (p.rtp_timestamp & _WORD, p.packets & _WORD, p.payload_bytes & _WORD)
    return _framed(
        _SR, len(p.blocks), _SENDER_INFO.pack(p.ssrc, p.ntp, *words) + _blocks_bytes(p.blocks)
    )


def _write_receiver_report(p: ReceiverReport) -> bytes:
    return _framed(_RR, len(p.blocks), _SSRC.pack(p.ssrc) + _blocks_bytes(p.blocks))


def _write_source_description(p: SourceDescription) -> bytes:
    if len(p.name) > NAME_BYTES_MAX:
        raise ValueError(f"the name has {len(p.name)} bytes: at most {NAME_BYTES_MAX} fit")
    body = _SDES_ITEM.pack(p.ssrc, _CNAME, len(p.name)) + p.name
    return _framed(_SDES, 1, body + bytes(4 - len(body) % 4))


def _write_goodbye(p: Goodbye) -> bytes:
    return _framed(_BYE, len(p.ssrcs), struct.pack(f"!{len(p.ssrcs)}I", *p.ssrcs))


def _write_application(p: Application) -> bytes:
    if len(p.name) != 4 or len(p.payload) % 4:
        raise ValueError(
            f"an application packet has a name of {len(p.name)} bytes and {len(p.payload)} bytes "
            "of payload: it must be 4, and a multiple of 4"
        )
    return _framed(_APP, p.subtype, _APP_NAME.pack(p.ssrc, p.name) + p.payload)


def _write_extended_report(p: ExtendedReport) -> bytes:
    if p.ntp is not None and not p.replies:  # of each question
        return _RRTR_ALONE.pack(0x80, _XR, 4, p.ssrc, _RRTR, 0, 2, p.ntp)
    body = _SSRC.pack(p.ssrc)
    if p.ntp is not None:
        body += _RRTR_BLOCK.pack(_RRTR, 0, 2, p.ntp)
    if p.replies:
        body += _HEADER.pack(_DLRR, 0, 3 * len(p.replies))
        body += b"".join(
            _DLRR_BLOCK.pack(r.ssrc, r.last_rr, r.since_last_rr & _WORD) for r in p.replies
        )
    return _framed(_XR, 0, body)


def _write_nack(p: Nack) -> bytes:
    entries: list[list[int]] = []
    for sequence in p.sequences:
        after = (sequence - entries[-1][0] - 1) & 0xFFFF if entries else _WORD
        if after < 16:
            entries[-1][1] |= 1 << after
        else:
            entries.append([sequence & 0xFFFF, 0])
    body = _SSRCS.pack(p.ssrc, p.media_ssrc)
    body += b"".join(_NACK_ENTRY.pack(*entry) for entry in entries)
    return _framed(_RTPFB, _GENERIC_NACK, body)


_WRITERS: Final[dict[type, Callable[..., bytes]]] = {
    SenderReport: _write_sender_report,
    ReceiverReport: _write_receiver_report,
    SourceDescription: _write_source_description,
    Goodbye: _write_goodbye,
    Application: _write_application,
    ExtendedReport: _write_extended_report,
    Nack: _write_nack,
    bytes: bytes,
}
