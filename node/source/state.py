"""What is kept of one source between two periods: its records, and the results of its kernels."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.resampler import Resampling
from node.clock.servo import Servo
from node.clock.state import Line
from node.jitter.repair import Repair
from node.jitter.state import SLOTS_MAX, Jitter, Packet, Slot, Steering
from node.kernel.record import Record, Records, nested, whole
from node.rtp.packet import HEADER_FIELDS
from node.units import PACKET_SAMPLES_MAX

NO_FADE: Final = 0
FADE_OUT: Final = 1
FADE_IN: Final = 2

FIFO_SAMPLES: Final = 2 * PACKET_SAMPLES_MAX + 8192
"""Two of the longest packets, and the longest period that a sound card asks for."""
PERIOD_SAMPLES_MAX: Final = 4096

DONE: Final = -1
"""`advance` filled the period. Other results are the jitter buffer's actions, to be decoded."""

# What a payload type carries.
CARRIES_OPUS: Final = 1
CARRIES_REPAIRS: Final = 2
"""RFC 2198 or RFC 4588: Opus inside something else."""

# Results of `receive`.
OTHER_SOURCE: Final = -16
OTHER_PAYLOAD: Final = -17
BAD_FRAMING: Final = -18
TOO_LARGE: Final = -19
NOT_RTP: Final = -20
NO_SOUND: Final = -28
"""Padding or nothing at all: a packet that keeps a path open."""

JOURNAL_ROWS: Final = 4096
"""Chunks that the journal holds; what nobody took in time is overwritten."""


class Playout(Record):
    """Where a source is between two periods."""

    running: int = whole("", "0 before the first period, 1 from then on.")
    filled: int = whole("", "Rows of the FIFO that hold sound.")
    step_q32: int = whole("", "Step of the resampler in this period.")
    planned: int = whole("", "1: a period is under way, its step chosen, its sound incomplete.")
    hard_resyncs: int = whole("", "Jumps of the playout position.")
    fade: int = whole("", "NO_FADE, FADE_OUT before a jump, FADE_IN after it.")
    generation: int = whole("", "Sender restarts seen; at a further one this source jumps there.")
    journal_written: int = whole("", "Rows of the journal written so far.")
    period_ns: int = whole("ns", "Presentation time of the period under way.")
    position_q16: int = whole("samples / 65536", "Media position of its first sample.")
    count_only: int = whole("", "1: nobody listens; all is decided and counted, nothing decoded.")
    error_q16: int = whole(
        "samples / 65536", "Where the sound should be, less where it is, as this period began."
    )
    error_max_q16: int = whole("samples / 65536", "Largest of them.")
    last_sound_ns: int = whole(
        "ns", "Presentation time at which the last received sound ends; -1 before any."
    )
    period_end_ns: int = whole(
        "ns", "Where the next period should begin; a card that stalled goes on later than that."
    )


class Stretching(Record):
    """Adaptive playout: how the sound in the FIFO follows its delay."""

    latency_ns: int = whole(
        "ns", "From the decision about a sample to its presentation; found from arrivals."
    )
    begin: int = whole("", "Row of the FIFO that plays next.")
    waits_from: int = whole(
        "samples", "Media time at which a wait for a packet began, since the last one; or NONE."
    )
    is_torn: int = whole("", "1: the next packet does not take up where the last chunk ended.")
    stretch_due: int = whole(
        "samples", "Asked of packets too short to be stretched alone, and not done yet."
    )


class Played(Record):
    """A row of the journal: one chunk of sound that was no pause."""

    ssrc: int = whole("", "Of its source.")
    media: int = whole("samples", "Media time of its first sample.")
    samples: int = whole("samples", "Length.")
    origin: int = whole("", "`counters.Origin`.")
    arrival_ns: int = whole("ns", "Arrival of the packet played, or -1.")
    presentation_ns: int = whole("ns", "When its first sample leaves the converter.")


class Source(Record):
    """All that is kept of one source, but its payloads and its sound."""

    # First: so they begin a page, and touch one less.
    slots: Records[Slot] = nested(
        Slot, "The packets held; what is not in use is never touched.", (SLOTS_MAX,)
    )
    ssrc: int = whole("", "Its number, 32 bits.")
    payload_types: NDArray[np.int64] = whole("", "What each carries; 0: no Opus.", (128,))
    header: NDArray[np.int64] = whole("", "Of the last datagram (`rtp.packet`).", (HEADER_FIELDS,))
    slot_count: int = whole("", "Slots in use, a power of two.")
    packet: Records[Packet] = nested(Packet, "On its way into the jitter buffer.", (1,))
    jitter: Records[Jitter] = nested(Jitter, "The jitter buffer.", (1,))
    steering: Records[Steering] = nested(Steering, "Of the jitter buffer, if adaptive.", (1,))
    repair: Records[Repair] = nested(Repair, "What is missing.", (1,))
    playout: Records[Playout] = nested(Playout, "Where it is.", (1,))
    stretching: Records[Stretching] = nested(Stretching, "Adaptive playout.", (1,))
    line: Records[Line] = nested(Line, "The time base.", (1,))
    resampler: Records[Resampling] = nested(Resampling, "Of the resampler.", (1,))
    servo: Records[Servo] = nested(Servo, "What steers the resampler.", (1,))
    journal: Records[Played] = nested(Played, "The last chunks, in a ring.", (JOURNAL_ROWS,))
