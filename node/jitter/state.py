"""What a jitter buffer knows: its records, the values that their fields take, and its results.

One buffer is four arrays, so that one node and a province run the same kernels:

==========  =======================  ============================================================
`state`     (1,) Jitter              parameters, position, counts, what was decided last
`steering`  (1,) Steering            what adaptive playout has learnt; nobody else looks at it
`slots`     (capacity,) Slot         one per packet, at `extended_sequence % capacity`
`payloads`  (capacity, bytes) uint8  the Opus payload of each slot; zero bytes wide where nobody
                                     decodes
==========  =======================  ============================================================

A province has a row of states and of slots for each node. A media time is an unwrapped RTP
timestamp in samples at 48 kHz.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import ORIGINS
from node.kernel.record import Record, whole

NONE: Final = -(1 << 62)
"""No sequence number, no time."""

SLOTS: Final = 256
"""Packets held by default; a power of two. 5 s of 20 ms packets, 0.6 s of 2.5 ms packets."""
SLOTS_MAX: Final = 4096
"""As many packets of 2.5 ms as the longest delay that a configuration allows may need."""

PAYLOAD_BYTES_MAX: Final = 1500

# Modes.
SYNCHRONISED: Final = 0
ADAPTIVE: Final = 1

# Phases.
EMPTY: Final = 0
WAITING: Final = 1
"""Packets came; nobody has said yet where to start (`seek`)."""
PLAYING: Final = 2

# Status of a slot.
FREE: Final = 0
HOLDING: Final = 1
PLAYED: Final = 2
CAME_LATE: Final = 3
MISSED: Final = 4
"""Its time passed without the packet itself; a repair may have played in its place."""
OTHERS: Final = 5
"""A packet of another payload type came under this number, which so takes no time. Sound that
comes under it all the same is taken."""

# Flags of `insert`.
MARKER: Final = 1
HAS_FEC: Final = 2
REDUNDANT: Final = 4
RETRANSMITTED: Final = 8
EXACT: Final = 16
"""No network and no sender's clock: its stamp is its media time, all of it and not 32 bits."""

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
"""Decode the hole before the packet in `action_slot` from that packet's in-band FEC."""
CONCEAL: Final = 2
FADE_OUT: Final = 3
SILENCE: Final = 4
PAUSE: Final = 5

S_REMEMBERED: Final = 16
S_HEIGHTS_REMEMBERED: Final = 8

TRIALS: Final = 64
FOLLOWERS: Final = 3
"""Three more that do what the bank would have chosen: with long, short and hasty memory."""


class Jitter(Record):
    """One jitter buffer: parameters, where the stream is, what was decided last, counts."""

    # Parameters, as `buffer.initial` makes them from the configuration.
    mode: int = whole("", "SYNCHRONISED or ADAPTIVE.")
    level_max: int = whole("samples", "Media beyond so much ahead of the position is not taken.")
    conceal_max: int = whole("samples", "Concealment lasts at most so long.")
    fade: int = whole("samples", "What follows concealment fades for so long; then silence.")
    delay_min: int = whole("samples", "Adaptive: least playout delay.")
    delay_max: int = whole("samples", "Adaptive: largest playout delay.")
    late_ppm: int = whole("ppm", "Share of frames that may be late: the operator's knob.")

    # Where the stream is.
    phase: int = whole("", "EMPTY, WAITING or PLAYING.")
    highest_sequence: int = whole("", "Extended sequence number of the newest packet, or NONE.")
    highest_media: int = whole("samples", "Media time of the newest packet.")
    highest_arrival_ns: int = whole("ns", "Arrival of the newest packet, or NONE.")
    probation_sequence: int = whole("", "Number that would prove a jump of the sender, or NONE.")
    probation_since_ns: int = whole(
        "ns", "Arrival of the first of the packets that fit nowhere and may be a new beginning."
    )
    next_sequence: int = whole("", "Lowest extended sequence number whose fate is open.")
    next_media: int = whole("samples", "Media time of the next chunk.")
    held: int = whole("", "Packets held.")
    last_end: int = whole("samples", "Media time at which the last packet of known fate ended.")
    last_samples: int = whole("samples", "Duration of that packet.")
    concealed_run: int = whole(
        "samples", "Made up since the last real sound: concealment, then fade, then silence."
    )
    pending_from: int = whole(
        "samples",
        "From here to next_media sound was made up, and nobody knows yet whether for a loss.",
    )
    pending_run: int = whole("samples", "concealed_run at pending_from.")
    unwrapped_sequence: int = whole("", "Extended sequence number of the packet being inserted.")
    unwrapped_media: int = whole("samples", "Media time of the packet being inserted.")
    generation: int = whole("", "Sender restarts; at each media times start anew: a seek is due.")
    floor_sequence: int = whole("", "Nothing below it is taken any more: it or a later one played.")
    jitter_q4: int = whole("samples / 16", "Interarrival jitter of RFC 3550, 6.4.1.")
    late_run: int = whole("", "Late packets in a row: the sign to resynchronise.")

    # How numbers, stamps and arrivals of this sender go together (`node.jitter.unwrap`).
    highest_timestamp: int = whole("samples", "RTP timestamp of the newest packet.")
    highest_samples: int = whole("samples", "Duration of the newest packet.")
    deviation: int = whole(
        "samples", "Media time of the newest packet by its stamp, less the one its number gave it."
    )
    others: int = whole(
        "", "Packets of other payload types whose numbers this source may share; -1: it does not."
    )
    unwrapped_timestamp: int = whole("samples", "RTP timestamp of the packet being inserted.")
    unwrapped_deviation: int = whole("samples", "Its deviation.")
    floor_now: int = whole("samples", "Smallest transit since floor_since.")
    floor_before: int = whole("samples", "Smallest transit of the window before.")
    floor_since: int = whole("samples", "When this window began.")

    # What speaks for and against its being Opus at 48 kHz (`node.jitter.proof`).
    run_since_ns: int = whole(
        "ns", "Arrival of the first packet of the run that is looked at; NONE: none is."
    )
    run_samples: int = whole("samples", "Durations in it.")
    run_packets: int = whole("", "Packets in it.")
    run_foreign: int = whole("", "Those that read as another codec, as the one before did.")
    run_disagreeing: int = whole("", "Those whose stamp does not say the duration before it.")
    run_off: int = whole(
        "samples", "What the stamps of the run that agree are off the durations, all together."
    )
    stamps_wrong: int = whole("", "1: packets come at the pace of their durations, stamps do not.")
    proof_samples: int = whole("samples", "Sound that agreed, since the last contradiction.")
    proof_transit: int = whole("samples", "Transit of the packet before that sound.")
    reads_as: int = whole("", "As what the last payloads looked at all read (`opus.foreign`).")
    reads_run: int = whole("", "So many before it in a row read as the same.")
    suspected: int = whole("", "What it seems to be instead, by the last such run; 0: no idea.")
    doubts: int = whole("", "Contradictions that nothing has outweighed yet.")
    proven: int = whole("", "1: this is Opus, as far as anybody can tell.")

    # What the last pull decided.
    action_slot: int = whole("", "Slot of the packet to decode, or -1.")
    action_samples: int = whole("samples", "Length of the chunk.")
    action_origin: int = whole("", "`counters.Origin` of the chunk.")
    action_arrival_ns: int = whole("ns", "Arrival of the packet played, or -1.")
    action_media: int = whole("samples", "Media time of the chunk.")
    action_stretch_samples: int = whole("samples", "To be played longer by, < 0 shorter.")
    action_hole: int = whole(
        "samples",
        "From the start of a concealed chunk to the held packet that ends the hole; 0 where none is"
        " held, or where something else comes before it.",
    )
    action_next_slot: int = whole("", "Where that packet is.")

    # Counts of packets.
    accepted: int = whole("", "Packets taken.")
    duplicate: int = whole("", "Packets that had come before.")
    late: int = whole("", "Packets whose time had passed.")
    reordered: int = whole("", "Packets overtaken by others, and in time.")
    too_early: int = whole("", "Packets further ahead than may be held.")
    on_probation: int = whole("", "Packets that nothing else spoke for.")
    flushed: int = whole("", "Packets held and thrown away unplayed.")
    lost: int = whole("", "Packets that never came.")
    restarts: int = whole("", "Restarts of the sender.")
    stretched_samples: int = whole("samples", "Added or taken by time-scale modification.")
    origin_samples: NDArray[np.int64] = whole("samples", "Output by `counters.Origin`.", (ORIGINS,))


class Steering(Record):
    """Adaptive playout: what its link is like, in samples after `reference`."""

    reference: int = whole("samples", "Arrival less media time of the first packet, or NONE.")
    base_delay: int = whole("samples", "Smallest delay of the last seconds.")
    base_now: int = whole("samples", "Smallest delay since base_since.")
    base_before: int = whole("samples", "Smallest delay of the window before.")
    base_since: int = whole("samples", "When this window began.")
    recent: int = whole(
        "samples",
        "Smallest delay of the last tenths of a second: after a change of route the base lags.",
    )
    recent_now: int = whole("samples", "Smallest delay since recent_since.")
    recent_before: int = whole("samples", "Smallest delay of the window before.")
    recent_since: int = whole("samples", "When this window began.")
    newest_end: int = whole("samples", "Media time at which the newest packet ends.")
    last_delay: int = whole("samples", "Delay of the newest packet.")
    last_arrival: int = whole("samples", "Arrival of the newest packet.")
    level: int = whole("samples", "Level that was cheapest, above the base.")
    weight: int = whole("", "What a made-up sample costs, in samples of delay held for one sample.")
    decay_due: int = whole("samples", "Media since costs were last made smaller.")
    overdue: int = whole("samples", "A packet so much overdue may be the beginning of a stall.")
    credit_q10: int = whole("samples / 1024", "Time-scale modification that may be asked for.")
    target: int = whole("samples", "Delay steered to.")

    # Stalls that come like clockwork.
    stall_count: int = whole("", "Stalls seen.")
    stall_period: int = whole("samples", "From one stall to the next; 0 while none is known.")
    stall_next: int = whole("samples", "When the next one is due to begin, or NONE.")
    stall_misses: int = whole("", "Stalls in a row that were due and did not come.")
    stall_level: int = whole("samples", "Level that meets it, above the base.")
    stall_hits: int = whole("", "Heights remembered.")
    stall_onsets: NDArray[np.int64] = whole(
        "samples", "When the last stalls began, in a ring.", (S_REMEMBERED,)
    )
    stall_heights: NDArray[np.int64] = whole(
        "samples", "Delay after the last of them, in a ring.", (S_HEIGHTS_REMEMBERED,)
    )

    # The bank of trial receivers, and the followers.
    trial_delays: NDArray[np.int64] = whole("samples", "What each holds.", (TRIALS + FOLLOWERS,))
    trial_levels: NDArray[np.int64] = whole("samples", "Level of each.", (TRIALS + FOLLOWERS,))
    trial_costs: NDArray[np.int64] = whole(
        "samples²", "What each has cost, with a long memory.", (TRIALS + FOLLOWERS,)
    )
    quick_costs: NDArray[np.int64] = whole(
        "samples²", "With a short memory; nobody asks for the followers'.", (TRIALS + FOLLOWERS,)
    )
    hasty_costs: NDArray[np.int64] = whole(
        "samples²", "With a hasty one; likewise.", (TRIALS + FOLLOWERS,)
    )


class Slot(Record):
    """One packet, at `extended_sequence % capacity`; a line of cache."""

    sequence: int = whole("", "Extended sequence number, or NONE.")
    status: int = whole("", "FREE, HOLDING, PLAYED, CAME_LATE, MISSED or OTHERS.")
    media: int = whole("samples", "Media time.")
    samples: int = whole("samples", "Duration.")
    arrival_ns: int = whole("ns", "Arrival.")
    marks: int = whole("", "Of `kernel.insert`.")
    length: int = whole("bytes", "Of the payload.")
    spare: int = whole("", "Unused.")


class Packet(Record):
    """One packet on its way into the jitter buffer."""

    offset: int = whole("bytes", "Where in the datagram the payload lies.")
    length: int = whole("bytes", "Of the payload.")
    sequence: int = whole(
        "",
        "16 bits as sent; of the carrier of a copy (REDUNDANT), which must have been inserted"
        " before.",
    )
    timestamp: int = whole("samples", "32 bits as sent, of the payload itself; more if EXACT.")
    samples: int = whole("samples", "Duration of the payload.")
    marks: int = whole("", "MARKER, HAS_FEC, REDUNDANT, RETRANSMITTED, EXACT.")
    arrival_ns: int = whole("ns", "When it came.")
