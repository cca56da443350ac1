"""What the node counts, by name: every packet has one fate, each 10 ms of output one origin."""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import RATE_HZ


class Count(IntEnum):
    """Index into the counts of a node. The name is what status messages and reports print."""

    DATAGRAMS_RECEIVED = 0
    """All that came to the node's port: RTP, RTCP and anything else."""
    PACKETS_RECEIVED = 1
    """RTP packets of a known shape, whatever became of them."""
    PACKETS_ACCEPTED = 2
    """Put into a jitter buffer."""
    DROPPED_TOO_SHORT = 3
    """Fewer bytes than the header announces, or than any packet has."""
    DROPPED_MALFORMED = 4
    """RTP version, padding or extension does not fit (RFC 3550, A.1)."""
    DROPPED_PAYLOAD_TYPE = 5
    """A payload type that `[receive] payload_types` does not name."""
    DROPPED_OPUS_FRAMING = 6
    """The payload breaks R1 to R7 (RFC 6716, section 3.4)."""
    DROPPED_UNAUTHENTICATED = 7
    """Of no session that was announced by a signed order, or not with that session's key."""
    DROPPED_SOURCE_LIMIT = 8
    """A further SSRC while all places for sources are taken."""
    DROPPED_TOO_LARGE = 9
    """More bytes than a packet may have here."""
    PACKETS_DUPLICATE = 10
    """The same packet had come before."""
    PACKETS_LATE = 11
    """Came after its playout time."""
    PACKETS_REORDERED = 12
    """Accepted, but a higher sequence number had come before."""
    PACKETS_DISCARDED_EARLY = 13
    """Too far ahead of the playout for the buffer to hold."""
    PACKETS_DISCARDED_PROBATION = 14
    """A jump of the sequence number not confirmed by a packet that follows it at its pace (after
    RFC 3550, A.1)."""
    PACKETS_DISCARDED_FLUSHED = 15
    """Held, then thrown away: sender restart, hard resync or release of the source."""
    PACKETS_LOST = 16
    """Never came, although a later packet of the same talkspurt played."""
    RTCP_RECEIVED = 17
    """Reports, answers and requests that could be read."""
    DROPPED_RTCP_MALFORMED = 18
    """RTCP whose lengths or types do not fit (RFC 3550, A.2)."""
    SENDER_RESTARTS = 19
    """The sender began anew, at numbers or stamps that do not follow the last ones."""
    HARD_RESYNCS = 20
    """Playout was too far from its place to be steered (48 ms while it sounds) and jumped there."""
    DECODER_ERRORS = 21
    """Packets that the decoder refused: their time is concealed."""
    DROPPED_MESSAGE = 22
    """An MQTT message that was not understood or not allowed."""
    DROPPED_SSRC_COLLISION = 23
    """A known SSRC from another address while the first one speaks (RFC 3550, 8.2)."""
    PACKETS_EMPTY = 24
    """Nothing but padding: they keep a path open (RFC 6263, 4.3)."""


class Origin(IntEnum):
    """Where 10 ms of output came from: exactly one of these, in the order of preference."""

    RECEIVED = 0
    """Decoded from the packet itself."""
    REDUNDANT = 1
    """From an RFC 2198 copy."""
    RETRANSMITTED = 2
    """From an RFC 4588 retransmission."""
    IN_BAND_FEC = 3
    """From the coarse copy of a lost frame in the packet after it."""
    CONCEALED = 4
    """Made up from the sound around the missing frame."""
    FADED = 5
    """Concealment on its way to silence."""
    SILENT = 6
    """Silence inside an active source: a dropout like the two before."""
    PAUSED = 7
    """Between talkspurts, or before the first packet plays: not a dropout."""


COUNTS: Final = len(Count)
ORIGINS: Final = len(Origin)


_NAMES: Final = tuple(one.name.lower() for one in Count)


def new_counts() -> NDArray[np.int64]:
    """Return zeroed counts, indexed by `Count`: (COUNTS,) int64."""
    return np.zeros(COUNTS, np.int64)


def by_name(counts: NDArray[np.int64]) -> dict[str, int]:
    """Return what was counted at all, by name.

    counts  (COUNTS,) int64, indexed by `Count`
    """
    return {name: n for name, n in zip(_NAMES, counts.tolist(), strict=True) if n}


def made_up_ms(origin_samples: NDArray[np.int64]) -> int:
    """Return how much of a sound was made up, or was silent for want of it.

    Parameters
    ----------
    origin_samples : (ORIGINS,) int64
        Output samples by `Origin`.
    """
    return int(origin_samples[Origin.CONCEALED : Origin.PAUSED].sum()) * 1000 // RATE_HZ
