"""Which lost packets to ask for again (RFC 4585, generic NACK): those that can still be in time.

`watch` after each `insert` notes the holes that a new packet opens; `requests` names what to ask
for now. A sequence number is asked for until it comes, until a further answer would be too late,
or until it was asked for `TRIES_MAX` times.

::

    hole seen ──patience──► ask ──round trip + margin──► ask again ...      time it plays
    |                                                                  |◄─ round trip ─►|
                                                                       no question after here
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.jitter.state import Jitter, Slot
from node.kernel import inner_kernel
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Record, Records, nested, new, whole
from node.units import NS_PER_MS

WANTED_MAX: Final = 64
"""Holes remembered; further ones are not asked for. 64 packets of 20 ms are 1.3 s of loss."""

ASKED_AT_ONCE: Final = 32
"""Sequence numbers that one request names at most."""

TRIES_MAX: Final = 4
PATIENCE_NS: Final = 10 * NS_PER_MS
"""A packet may be overtaken by so much before it counts as a hole."""
SILENCE_NS: Final = 40 * NS_PER_MS
"""A link without jitter is silent for so long before what should have come is asked for: a burst
of loss may be so long that its end is too late to ask."""
SILENCE_JITTERS: Final = 3
"""Interarrival jitters (RFC 3550, 6.4.1) that a link may be silent for beyond that. Measured: with
none, repair cost 27 % of a stream's bytes on the simulator's weak 4G, with 3 it is 9 %, with 4
it is 7 %; but what a loss of 4 % in bursts of 5 leaves goes from 0.10 to 0.12 % then."""
AHEAD_MAX: Final = 16
"""Packets asked for beyond the newest. A sender that pauses is asked in vain, so not for long."""
MARGIN_NS: Final = 10 * NS_PER_MS
"""An answer may take so much longer than the round trip."""
_PAUSE_NS: Final = NS_PER_MS
"""From one look to the next, at least."""


class Hole(Record):
    """One sequence number that is missing."""

    sequence: int = whole("", "Extended sequence number.")
    media: int = whole("samples", "Media time that it would have.")
    due_ns: int = whole("ns", "When it is to be asked for.")
    tries: int = whole("", "How often it was asked for.")


class Repair(Record):
    """What is missing of a source, and what was asked for."""

    holes: int = whole("", "Rows of `wanted` that are in use.")
    seen: int = whole("", "Newest extended sequence number at the last look, or NONE.")
    seen_media: int = whole("samples", "Its media time.")
    generation: int = whole("", "Sender restarts at the last look.")
    asked: int = whole("", "Sequence numbers asked for, repetitions counted.")
    given_up: int = whole("", "Holes for which it became too late.")
    unwatched: int = whole("", "Holes that found no room.")
    expected: int = whole("", "Highest sequence number noted as a hole.")
    spacing: int = whole("samples", "From one packet to the next.")
    not_before_ns: int = whole("ns", "Nothing is looked for earlier than this.")
    silence_ns: int = whole(
        "ns", "Nothing has come for so much longer than a packet lasts: it is missing."
    )
    wanted: Records[Hole] = nested(Hole, "The holes.", (WANTED_MAX,))
    request: NDArray[np.int64] = whole(
        "", "16-bit sequence numbers to ask for now.", (ASKED_AT_ONCE,)
    )


def reset_repair(repairs: Records[Repair]) -> None:
    """Forget all holes and counts of one."""
    repairs[:] = new(Repair)
    repairs["seen"] = at.NONE
    repairs["silence_ns"] = SILENCE_NS


@inner_kernel("void(Repair, int64, int64, int64)")
def _note(repair: Repair, extended: int, media: int, due_ns: int) -> None:
    """Remember a hole, to be asked for from `due_ns` on."""
    repair.expected = extended
    if repair.holes >= WANTED_MAX:
        repair.unwatched += 1
        return
    hole = repair.wanted[repair.holes]
    hole.sequence = extended
    hole.media = media
    hole.due_ns = due_ns
    hole.tries = 0
    repair.holes += 1


@inner_kernel("void(Repair, Jitter, int64)")
def _expect(repair: Repair, state: Jitter, now_ns: int) -> None:
    """Note as holes what should have come by now, when nothing comes at all."""
    spacing_ns = samples_to_ns(repair.spacing)
    silent_ns = now_ns - state.highest_arrival_ns - repair.silence_ns
    if repair.seen == at.NONE or spacing_ns <= 0 or silent_ns < spacing_ns:
        return
    highest = repair.seen
    last = highest + min(silent_ns // spacing_ns, AHEAD_MAX)
    for extended in range(max(highest, repair.expected) + 1, last + 1):
        media = repair.seen_media + (extended - highest) * repair.spacing
        _note(repair, extended, media, now_ns)


@inner_kernel("int64(Jitter, Slot[::1], int64)")
def _has_come(state: Jitter, slots: Records[Slot], extended: int) -> int:
    row = extended & (slots.shape[0] - 1)
    came = slots[row].sequence == extended and slots[row].status != at.MISSED
    return 1 if came or extended < state.floor_sequence else 0


@inner_kernel("int64(Repair, Jitter, Slot[::1], int64)")
def watch(repair: Repair, state: Jitter, slots: Records[Slot], now_ns: int) -> int:
    """Note the holes before the newest packet, and return how many are open now.

    Call it after each `kernel.insert`.
    """
    highest = state.highest_sequence
    seen = repair.seen
    is_new = repair.generation != state.generation or seen == at.NONE
    if is_new or highest - seen > slots.shape[0]:
        repair.holes = 0
        repair.generation = state.generation
        seen = highest
        repair.expected = highest
    if highest > seen:
        repair.spacing = (state.highest_media - repair.seen_media) // (highest - seen)
        for extended in range(max(seen, repair.expected) + 1, highest):
            if _has_come(state, slots, extended):
                continue
            media = repair.seen_media + (extended - seen) * repair.spacing
            _note(repair, extended, media, now_ns + PATIENCE_NS)
    repair.seen = highest
    repair.seen_media = state.highest_media
    return int(repair.holes)


@inner_kernel("int64(Repair, Jitter, Slot[::1], int64, int64, int64)")
def requests(
    repair: Repair,
    state: Jitter,
    slots: Records[Slot],
    now_ns: int,
    plays_ns: int,
    round_trip_ns: int,
) -> int:
    """Write the sequence numbers to ask for now into `request`; return how many.

    plays_ns        when the sample at next_media must be decoded
    round_trip_ns   to the sender and back
    """
    repair.not_before_ns = now_ns + _PAUSE_NS
    jitter_ns = samples_to_ns(state.jitter_q4 >> 4)
    repair.silence_ns = SILENCE_NS + SILENCE_JITTERS * jitter_ns
    _expect(repair, state, now_ns)
    asked = 0
    i = 0
    while i < repair.holes:
        hole = repair.wanted[i]
        ahead_ns = samples_to_ns(hole.media - state.next_media)
        is_hopeless = now_ns + round_trip_ns + MARGIN_NS > plays_ns + ahead_ns
        if _has_come(state, slots, hole.sequence) or is_hopeless or hole.tries >= TRIES_MAX:
            repair.given_up += 1 - _has_come(state, slots, hole.sequence)
            repair.holes -= 1
            repair.wanted[i] = repair.wanted[repair.holes]
            continue
        if now_ns >= hole.due_ns and asked < ASKED_AT_ONCE:
            repair.request[asked] = hole.sequence & 0xFFFF
            asked += 1
            hole.tries += 1
            hole.due_ns = now_ns + round_trip_ns + MARGIN_NS
        i += 1
    repair.asked += asked
    return asked


@inner_kernel("int64(Repair, Jitter)")
def next_request_ns(repair: Repair, state: Jitter) -> int:
    """Return when `requests` may have something to ask for again, or NONE: the next hole's turn,
    or the moment from which it counts that nothing has come.
    """
    found = at.NONE
    spacing_ns = samples_to_ns(repair.spacing)
    beyond = max(0, repair.expected - repair.seen)
    if repair.seen != at.NONE and spacing_ns > 0 and beyond < AHEAD_MAX:
        silence_ns = repair.silence_ns + (beyond + 1) * spacing_ns
        found = state.highest_arrival_ns + silence_ns
    for i in range(repair.holes):
        due = repair.wanted[i].due_ns
        if found == at.NONE or due < found:
            found = due
    return found if found == at.NONE else max(found, repair.not_before_ns)
