"""The two compounds of the clock exchange, each written and read as one struct.

They are said several times a second by every node and to it. `rtcp.build` makes the same bytes of
the same packets, with an object for each and for each of their parts.

::

    question  RR (one block) | SDES | XR RRTR | APP LoaN, if sound came | APP LoaL
    answer    SR | XR DLRR | what else the sender says
"""

import struct
from typing import Final

from node.rtp import rtcp
from node.rtp.delay_report import DelayNeed, need_packet
from node.rtp.loss_report import LossReport, loss_packet
from node.rtp.rtcp_packet import (
    Application,
    ExtendedReport,
    Packet,
    ReceiverReport,
    ReplyTime,
    ReportBlock,
    SenderReport,
    SourceDescription,
)

_REPORT: Final = "BBHI6I"
_TIME: Final = "BBHIBBHQ"
_NEED: Final = "12sIIIi"
_LOSS: Final = "12sHH4s"
_ANSWER: Final = struct.Struct("!BBHIQIIIBBHIBBHIII")
_APP_HEAD_BYTES: Final = 12
_LOSS_END_BYTES: Final = 4
_WORD: Final = 0xFFFFFFFF
_ANSWER_HEADS: Final = (0x80, 200, 6, 0x80, 207, 5, 5, 3)
_TOLD: Final = struct.Struct("!BBHI4s")
_SR: Final = 200
_APP: Final = 204
_QUESTION: Final = struct.Struct("!BBHI6IBBHIBB")
_QUESTION_NAME: Final = 36
"""Where the name's part begins, behind its head."""
_QUESTION_HEADS: Final = (0x81, 201, 7, 0x81, 202, 1)
_TIME_PART: Final = struct.Struct(f"!{_TIME}")
_TIME_HEADS: Final = (0x80, 207, 4, 4, 2)
_TIME_BYTES: Final = _TIME_PART.size
_NEED_BYTES: Final = struct.calcsize(f"!{_NEED}")
_LOSS_BYTES: Final = struct.calcsize(f"!{_LOSS}")

Block = tuple[int, int, int, int, int, int]
"""SSRC, share lost in 256 and 24 bits of how many, sequence, jitter, last SR, and since that."""

Need = tuple[int, int, int, int]
"""As `delay_report.need_words` makes it."""


class QuestionLayout:
    """What is the same in all questions of a node.

    Parameters
    ----------
    ssrc : int
        Of the node.
    description : bytes
        Its SDES packet, as `rtcp.written` made it.
    redundancy_type : int
        Payload type of packets with copies.
    asks : bool
        The node asks for lost packets.
    """

    def __init__(self, ssrc: int, description: bytes, *, redundancy_type: int, asks: bool) -> None:
        middle = f"!{_REPORT}{len(description)}s{_TIME}"
        self._without_need = struct.Struct(f"{middle}{_LOSS}").pack
        self._with_need = struct.Struct(f"{middle}{_NEED}{_LOSS}").pack
        self._report = (0x81, 201, 7, ssrc)
        self._time = (description, 0x80, 207, 4, ssrc, 4, 0, 2)
        need = rtcp.written(need_packet(ssrc, DelayNeed(0, 0, None, 0.0)))
        loss = rtcp.written(loss_packet(ssrc, LossReport(0.0, 0.0, redundancy_type, asks)))
        self._need = need[:_APP_HEAD_BYTES]
        self._loss = loss[:_APP_HEAD_BYTES]
        self._end = loss[-_LOSS_END_BYTES:]

    def question(self, block: Block, ntp: int, need: Need | None, loss: tuple[int, int]) -> bytes:
        """Return the question that carries the time `ntp`; `loss` is of `loss_report.loss_words`.

        Of the block all numbers are in their range.
        """
        if need is None:
            return self._without_need(
                *self._report, *block, *self._time, ntp, self._loss, *loss, self._end
            )
        return self._with_need(
            *self._report, *block, *self._time, ntp,
            self._need, *need, self._loss, *loss, self._end,
        )  # fmt: skip


def answer(report: SenderReport, reply: ReplyTime, more: bytes = b"") -> bytes:
    """Return the answer to a question: `report`, `reply`, and `more` that `rtcp.written` made."""
    assert not report.blocks, "a sender reports on nobody"
    compound = _ANSWER.pack(
        0x80, 200, 6, report.ssrc, report.ntp, report.rtp_timestamp & _WORD,
        report.packets & _WORD, report.payload_bytes & _WORD,
        0x80, 207, 5, report.ssrc, 5, 0, 3, reply.ssrc, reply.last_rr, reply.since_last_rr & _WORD,
    )  # fmt: skip
    return compound + more


def parse(data: bytes) -> tuple[Packet, ...] | None:
    """Return what `rtcp.parse` does: sooner of what is made here."""
    if _ANSWER.size <= len(data) <= rtcp.COMPOUND_BYTES_MAX:
        read = _read_answer(data) if data[1] == _SR else _read_question(data)
        if read is not None:
            return read
    return rtcp.parse(data)


def _read_answer(data: bytes) -> tuple[Packet, ...] | None:
    """Return the packets of an answer of one more part at most; None of anything else."""
    (
        first, kind, words, ssrc, ntp, timestamp, packets, payload_bytes,
        xr_first, xr_kind, xr_words, xr_ssrc, block, _, block_words, to_ssrc, last_rr, since,
    ) = _ANSWER.unpack_from(data)  # fmt: skip
    heads = (first, kind, words, xr_first, xr_kind, xr_words, block, block_words)
    if heads != _ANSWER_HEADS:
        return None
    report = SenderReport(ssrc, ntp, timestamp, packets, payload_bytes)
    extended = ExtendedReport(xr_ssrc, None, (ReplyTime(to_ssrc, last_rr, since),))
    if len(data) == _ANSWER.size:
        return report, extended
    told = _application(data, _ANSWER.size, len(data))
    return None if told is None else (report, extended, told)


def _read_question(data: bytes) -> tuple[Packet, ...] | None:
    """Return the packets of a question; None of anything else."""
    (
        first, kind, words, ssrc, source_ssrc, loss, sequence, jitter, last_sr, since,
        sdes_first, sdes_kind, sdes_words, name_ssrc, item, name_bytes,
    ) = _QUESTION.unpack_from(data)  # fmt: skip
    at = _QUESTION_NAME + 4 * sdes_words
    name_end = _QUESTION.size + name_bytes
    loss_at = len(data) - _LOSS_BYTES
    heads = (first, kind, words, sdes_first, sdes_kind, item)
    if heads != _QUESTION_HEADS or name_end >= at or data[name_end] != 0:
        return None
    if loss_at - at not in (_TIME_BYTES, _TIME_BYTES + _NEED_BYTES):
        return None
    *time_heads, time_ssrc, block, _, block_words, ntp = _TIME_PART.unpack_from(data, at)
    if (*time_heads, block, block_words) != _TIME_HEADS:
        return None
    told = [_application(data, loss_at, len(data))]
    if loss_at - at > _TIME_BYTES:
        told.insert(0, _application(data, at + _TIME_BYTES, loss_at))
    if None in told:
        return None
    lost = (loss & 0xFFFFFF) - ((loss & 0x800000) << 1)
    report = ReportBlock(source_ssrc, loss >> 24, lost, sequence, jitter, last_sr, since)
    return (
        ReceiverReport(ssrc, (report,)),
        SourceDescription(name_ssrc, data[_QUESTION.size : name_end]),
        ExtendedReport(time_ssrc, ntp),
        *[one for one in told if one is not None],
    )


def _application(data: bytes, at: int, end: int) -> Application | None:
    """Return the application's packet that fills `data` from there to its end; None of another."""
    if end - at < _TOLD.size:
        return None
    first, kind, words, ssrc, name = _TOLD.unpack_from(data, at)
    if first & 0xE0 != 0x80 or kind != _APP or 4 + 4 * words != end - at:
        return None
    return Application(ssrc, first & 31, name, data[at + _TOLD.size : end])
