"""The two compounds of the clock exchange, each written as one struct.

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
from node.rtp.rtcp_packet import ReplyTime, SenderReport

_REPORT: Final = "BBHI6I"
_TIME: Final = "BBHIBBHQ"
_NEED: Final = "12sIIIi"
_LOSS: Final = "12sHH4s"
_ANSWER: Final = struct.Struct("!BBHIQIIIBBHIBBHIII")
_APP_HEAD_BYTES: Final = 12
_LOSS_END_BYTES: Final = 4
_WORD: Final = 0xFFFFFFFF

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
