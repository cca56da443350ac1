"""Names of the places in a jitter buffer's state vector and in its slots.

One buffer is three arrays, so that one node and a province run the same kernels:

=========  ==================================  ===================================================
`state`    (STATE_SIZE,) int64                 parameters, position, counts, what was decided last
`slots`    (capacity, SLOT_FIELDS) int64       one row per packet, at `extended_sequence % capacity`
`payloads` (capacity, bytes) uint8             the Opus payload of each slot; zero bytes wide where
                                               nobody decodes
=========  ==================================  ===================================================

A media time is an unwrapped RTP timestamp in samples at 48 kHz.
"""

from typing import Final

NONE: Final = -(1 << 62)
"""No sequence number, no time."""

SLOTS: Final = 256
"""Packets held by default; a power of two. 5 s of 20 ms packets, 0.6 s of 2.5 ms packets."""

PAYLOAD_BYTES_MAX: Final = 1500

# Parameters, as `buffer.parameters` makes them from the configuration.
MODE: Final = 0
LEVEL_MAX: Final = 1
"""Media beyond this many samples ahead of the position is not taken."""
CONCEAL_MAX: Final = 2
FADE: Final = 3
DELAY_SAMPLES: Final = 4
"""Adaptive: playout delay before anything is known."""
DELAY_MIN: Final = 5
DELAY_MAX: Final = 6
LATE_PPM: Final = 7
"""Share of frames that may be late, in millionths: the operator's knob."""
PARAMETERS: Final = 8

SYNCHRONISED: Final = 0
ADAPTIVE: Final = 1

# Where the stream is.
PHASE: Final = 8
HIGHEST_SEQUENCE: Final = 9
HIGHEST_MEDIA: Final = 10
HIGHEST_ARRIVAL_NS: Final = 11
PROBATION_SEQUENCE: Final = 12
PROBATION_SINCE_NS: Final = 13
"""Arrival of the first of the packets that fit nowhere and may be a new beginning."""
NEXT_SEQUENCE: Final = 14
"""Lowest extended sequence number whose fate is open."""
NEXT_MEDIA: Final = 15
"""Media time of the next chunk."""
HELD: Final = 16
LAST_END: Final = 17
"""Media time at which the last packet ended whose fate is known."""
LAST_SAMPLES: Final = 18
CONCEALED_RUN: Final = 19
"""Made-up samples since the last real ones: concealment, then fade, then silence."""
PENDING_FROM: Final = 20
"""From here to NEXT_MEDIA the output was made up, and nobody knows yet whether for a loss."""
PENDING_RUN: Final = 21
UNWRAPPED_SEQUENCE: Final = 22
UNWRAPPED_MEDIA: Final = 23
GENERATION: Final = 24
"""Counts sender restarts: when it changes, media times start anew and a seek is due."""
FLOOR_SEQUENCE: Final = 53
"""Nothing below this number is taken any more: it or a later one played."""
JITTER_Q4: Final = 25
"""Interarrival jitter of RFC 3550, 6.4.1, in sixteenths of a sample."""
LATE_RUN: Final = 26
"""Late packets in a row since one was accepted: the receiver's sign to resynchronise."""

EMPTY: Final = 0
WAITING: Final = 1
"""Packets came; nobody has said yet where to start (`seek`)."""
PLAYING: Final = 2

# What the last pull decided.
ACTION_SLOT: Final = 27
ACTION_SAMPLES: Final = 28
ACTION_ORIGIN: Final = 29
ACTION_ARRIVAL_NS: Final = 30
ACTION_MEDIA: Final = 31
ACTION_STRETCH_SAMPLES: Final = 32
ACTION_HOLE: Final = 51
"""Samples from the start of a concealed chunk to the held packet that ends the hole; 0 where none
is held, or where something else comes before it."""
ACTION_NEXT_SLOT: Final = 52
"""Where that packet is."""

# Counts, in the order of `counters.Count`.
C_ACCEPTED: Final = 33
C_DUPLICATE: Final = 34
C_LATE: Final = 35
C_REORDERED: Final = 36
C_EARLY: Final = 37
C_PROBATION: Final = 38
C_FLUSHED: Final = 39
C_LOST: Final = 40
C_RESTARTS: Final = 41
C_STRETCHED: Final = 42
"""Media samples that time-scale modification added or took, absolute."""

O_FIRST: Final = 43
"""Output samples by `counters.Origin`, eight in a row."""

# How numbers, stamps and arrivals of this sender go together (`node.jitter.unwrap`).
HIGHEST_TIMESTAMP: Final = 54
"""Of the newest packet, 32 bits as sent."""
HIGHEST_SAMPLES: Final = 55
"""How long the newest packet lasts."""
DEVIATION: Final = 56
"""Media time of the newest packet by its stamp, less the one that its number gave it."""
UNWRAPPED_TIMESTAMP: Final = 57
UNWRAPPED_DEVIATION: Final = 58
FLOOR_NOW: Final = 59
"""Smallest transit since FLOOR_SINCE in samples, and in the window before it."""
FLOOR_BEFORE: Final = 60
FLOOR_SINCE: Final = 61

# What speaks for and against its being Opus at 48 kHz (`node.jitter.proof`).
RUN_SINCE_NS: Final = 62
"""Arrival of the first packet of the run that is looked at; NONE: none is."""
RUN_SAMPLES: Final = 63
"""Durations in it."""
RUN_PACKETS: Final = 64
RUN_AGREEING: Final = 65
"""Packets in it whose stamp agrees with the duration before it."""
STAMPS_WRONG: Final = 66
"""1 when packets come at the pace of their durations, and stamps count at another."""
PROOF_SAMPLES: Final = 67
"""Sound that agreed, since the last contradiction."""
DOUBTS: Final = 68
"""Contradictions that nothing has outweighed yet."""
PROVEN: Final = 69
"""1 when this is Opus, as far as anybody can tell."""
RUN_OFF: Final = 70
"""By how much the stamps of the run that agree are off the durations, all together."""

SYNCHRONISED_STATE_SIZE: Final = 80
"""What `synchronised` needs; the fleet simulation allocates no more per node."""

# Adaptive mode: delays as samples from an arbitrary zero, the transit of the first packet.
A_REFERENCE: Final = 80
"""Arrival less media time of the first packet: the zero of all delays below."""
A_BASE: Final = 81
"""Smallest delay of the last seconds: what the link takes when nothing is in the way."""
A_BASE_NOW: Final = 82
A_BASE_BEFORE: Final = 83
A_BASE_SINCE: Final = 84
A_NEWEST_END: Final = 85
"""Media time at which the newest packet ends."""
A_LAST_DELAY: Final = 86
A_LAST_ARRIVAL: Final = 87
"""Arrival of the newest packet, in samples."""
A_LEVEL: Final = 88
"""Level that was cheapest, above the base."""
A_WEIGHT: Final = 89
"""What a concealed sample costs, in samples of delay held for one sample."""
A_DECAY_DUE: Final = 90
A_CREDIT_Q10: Final = 92
"""Time scale modification that may be asked for, in 1/1024 sample: limits its rate."""
A_TARGET: Final = 93
"""Delay steered to, for status."""

A_RECENT: Final = 94
"""Smallest delay of the last tenths of a second: after a route change the base lags behind."""
A_RECENT_NOW: Final = 95
A_RECENT_BEFORE: Final = 126
A_RECENT_SINCE: Final = 127

A_OVERDUE: Final = 91
"""A packet so much overdue may be the beginning of a stall."""

# Stalls that come like clockwork.
S_COUNT: Final = 96
S_PERIOD: Final = 97
"""Samples from one stall to the next; 0 while none is known."""
S_NEXT: Final = 98
"""When the next one is due to begin, in samples."""
S_MISSES: Final = 99
S_LEVEL: Final = 100
"""Level that meets it, above the base."""
S_HITS: Final = 101
S_ONSETS: Final = 102
S_REMEMBERED: Final = 16
S_HEIGHTS: Final = 118
S_HEIGHTS_REMEMBERED: Final = 8

# The bank of trial receivers.
TRIALS: Final = 64
FOLLOWERS: Final = 3
"""Three more that do what the bank would have chosen: with long, short and hasty memory."""
B_DELAYS: Final = 128
B_COSTS: Final = 195
B_QUICK_COSTS: Final = 262
"""The same costs of the trials with a short memory..."""
B_HASTY_COSTS: Final = 326
"""...and with a hasty one."""
B_LEVELS: Final = 390
"""Level of each trial receiver, and of the followers."""

STATE_SIZE: Final = 457

# One slot.
SLOT_SEQUENCE: Final = 0
SLOT_STATUS: Final = 1
SLOT_MEDIA: Final = 2
SLOT_SAMPLES: Final = 3
SLOT_ARRIVAL_NS: Final = 4
SLOT_FLAGS: Final = 5
SLOT_LENGTH: Final = 6
SLOT_FIELDS: Final = 8
"""Eight, so that a row is one line of cache."""

FREE: Final = 0
HOLDING: Final = 1
PLAYED: Final = 2
CAME_LATE: Final = 3
MISSED: Final = 4
"""Its time passed without the packet itself; a repair may have played in its place."""

# Flags of `insert`.
MARKER: Final = 1
HAS_FEC: Final = 2
REDUNDANT: Final = 4
RETRANSMITTED: Final = 8
EXACT: Final = 16
"""No network and no sender's clock: its stamp is its media time."""

# Results of `insert` besides a slot.
DUPLICATE: Final = -1
LATE: Final = -2
EARLY: Final = -3
PROBATION: Final = -4
RESTARTED: Final = -5
"""The sender started anew; this packet is held, everything before it is gone: seek."""
UNFIT: Final = -6
"""No slot can hold it (too long, no samples), or a copy that fits nowhere. Not counted here."""

# Actions of `pull`.
PLAY: Final = 0
FEC: Final = 1
"""Decode the hole before the packet in ACTION_SLOT from that packet's in-band FEC."""
CONCEAL: Final = 2
FADE_OUT: Final = 3
SILENCE: Final = 4
PAUSE: Final = 5
