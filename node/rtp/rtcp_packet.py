"""What RTCP packets say: one frozen record per kind (RFC 3550, section 6; RFC 3611; RFC 4585).

=====================  ==========================================================================
SenderReport           RFC 3550, 6.4.1: maps the sender's clock to RTP time
ReceiverReport         6.4.2: loss and jitter as a receiver saw them
SourceDescription      6.5: the canonical name only
Goodbye                6.6
Application            6.7: ours is the group's playout delay
ExtendedReport         RFC 3611, 4.4 and 4.5: the receiver's half of the four time stamps
Nack                   RFC 4585, 6.2.1: sequence numbers wanted again
=====================  ==========================================================================

NTP time stamps carry the sender's *monotonic* clock (RFC 3550, 6.4.1 allows any clock that
advances), so a step of civil time cannot reach the sound.
"""

from msgspec import Struct


class ReportBlock(Struct, frozen=True):
    """What a receiver says of one source."""

    ssrc: int
    lost_per_256: int
    """Share of packets lost since the last report, 0 to 255."""
    packets_lost: int
    """Since the beginning; negative with duplicates; -2^23 to 2^23 - 1."""
    extended_sequence: int
    jitter_samples: int
    last_sr: int
    """Middle 32 bits of the last sender report's time, 0 before the first."""
    since_last_sr: int
    """Delay from then to this report in 1/65536 s."""


class SenderReport(Struct, frozen=True):
    """The sender's clock and media time at one instant, and what it sent."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    payload_bytes: int
    blocks: tuple[ReportBlock, ...] = ()


class ReceiverReport(Struct, frozen=True):
    """What one receiver saw."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


class SourceDescription(Struct, frozen=True):
    """Canonical name of one source."""

    ssrc: int
    name: bytes


class Goodbye(Struct, frozen=True):
    """Sources that stop."""

    ssrcs: tuple[int, ...]


class Application(Struct, frozen=True):
    """A message of an application; `name` has four bytes, `payload` a multiple of four."""

    ssrc: int
    subtype: int
    name: bytes
    payload: bytes


class ReplyTime(Struct, frozen=True):
    """When `ssrc`'s reference time was received, as its sender's answer tells it (DLRR)."""

    ssrc: int
    last_rr: int
    """Middle 32 bits of that reference time."""
    since_last_rr: int
    """Delay from its arrival to the answer in 1/65536 s."""


class ExtendedReport(Struct, frozen=True):
    """A receiver's reference time, a sender's answers to such, or both."""

    ssrc: int
    ntp: int | None = None
    replies: tuple[ReplyTime, ...] = ()


class Nack(Struct, frozen=True):
    """Packets of `media_ssrc` that `ssrc` wants again."""

    ssrc: int
    media_ssrc: int
    sequences: tuple[int, ...]


Packet = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | Application
    | ExtendedReport
    | Nack
)
