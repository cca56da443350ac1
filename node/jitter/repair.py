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
from node.kernel import kernel
from node.units import NS_PER_MS

WANTED_MAX: Final = 64
"""Holes remembered; further ones are not asked for. 64 packets of 20 ms are 1.3 s of loss."""

# One hole: a row of `wanted`, (WANTED_MAX, WANTED_FIELDS) int64.
W_SEQUENCE: Final = 0
W_MEDIA: Final = 1
W_DUE_NS: Final = 2
W_TRIES: Final = 3
WANTED_FIELDS: Final = 4

# Index into `repair`, (REPAIR_STATE_SIZE,) int64.
R_HOLES: Final = 0
R_SEEN: Final = 1
R_SEEN_MEDIA: Final = 2
R_GENERATION: Final = 3
R_ASKED: Final = 4
"""Sequence numbers asked for, repetitions counted."""
R_GIVEN_UP: Final = 5
R_UNWATCHED: Final = 6
"""Holes that found no room."""
R_EXPECTED: Final = 7
"""Highest sequence number noted as a hole."""
R_SPACING: Final = 8
"""Media samples from one packet to the next."""
R_NOT_BEFORE_NS: Final = 9
"""Nothing is looked for earlier than this."""
R_SILENCE_NS: Final = 10
"""Nothing has come for so much longer than a packet lasts: what should have come is missing."""
REPAIR_STATE_SIZE: Final = 16

TRIES_MAX: Final = 4
_PATIENCE_NS: Final = 10 * NS_PER_MS
"""A packet may be overtaken by so much before it counts as a hole."""
_SILENCE_NS: Final = 40 * NS_PER_MS
"""A link without jitter is silent for so long before what should have come is asked for: a burst
of loss may be so long that its end is too late to ask."""
_JITTERS: Final = 3
"""Interarrival jitters (RFC 3550, 6.4.1) that a link may be silent for beyond that. Measured: with
none, repair cost 27 % of a stream's bytes on the simulator's weak 4G, with 3 it is 9 %, with 4
it is 7 %; but what a loss of 4 % in bursts of 5 leaves goes from 0.10 to 0.12 % then."""
_AHEAD_MAX: Final = 16
"""Packets asked for beyond the newest. A sender that pauses is asked in vain, so not for long."""
_MARGIN_NS: Final = 10 * NS_PER_MS
"""An answer may take so much longer than the round trip."""
_PAUSE_NS: Final = NS_PER_MS
"""From one look to the next, at least."""


@kernel("void(int64[::1])")
def reset_repair(repair: NDArray[np.int64]) -> None:
    """Forget all holes and counts."""
    repair[:] = 0
    repair[R_SEEN] = at.NONE
    repair[R_SILENCE_NS] = _SILENCE_NS


@kernel("void(int64[::1], int64[:, ::1], int64, int64, int64)")
def _note(
    repair: NDArray[np.int64], wanted: NDArray[np.int64], extended: int, media: int, due_ns: int
) -> None:
    """Remember a hole, to be asked for from `due_ns` on."""
    repair[R_EXPECTED] = extended
    if repair[R_HOLES] >= wanted.shape[0]:
        repair[R_UNWATCHED] += 1
        return
    hole = wanted[repair[R_HOLES]]
    hole[W_SEQUENCE] = extended
    hole[W_MEDIA] = media
    hole[W_DUE_NS] = due_ns
    hole[W_TRIES] = 0
    repair[R_HOLES] += 1


@kernel("void(int64[::1], int64[:, ::1], int64[::1], int64)")
def _expect(
    repair: NDArray[np.int64], wanted: NDArray[np.int64], state: NDArray[np.int64], now_ns: int
) -> None:
    """Note as holes what should have come by now, when nothing comes at all."""
    spacing_ns = repair[R_SPACING] * 62_500 // 3
    silent_ns = now_ns - state[at.HIGHEST_ARRIVAL_NS] - repair[R_SILENCE_NS]
    if repair[R_SEEN] == at.NONE or spacing_ns <= 0 or silent_ns < spacing_ns:
        return
    highest = repair[R_SEEN]
    last = highest + min(silent_ns // spacing_ns, _AHEAD_MAX)
    for extended in range(max(highest, repair[R_EXPECTED]) + 1, last + 1):
        media = repair[R_SEEN_MEDIA] + (extended - highest) * repair[R_SPACING]
        _note(repair, wanted, extended, media, now_ns)


@kernel("int64(int64[::1], int64[:, ::1], int64)")
def _has_come(state: NDArray[np.int64], slots: NDArray[np.int64], extended: int) -> int:
    row = extended & (slots.shape[0] - 1)
    came = slots[row, at.SLOT_SEQUENCE] == extended and slots[row, at.SLOT_STATUS] != at.MISSED
    return 1 if came or extended < state[at.FLOOR_SEQUENCE] else 0


@kernel("int64(int64[::1], int64[:, ::1], int64[::1], int64[:, ::1], int64)")
def watch(
    repair: NDArray[np.int64],
    wanted: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    now_ns: int,
) -> int:
    """Note the holes before the newest packet, and return how many are open now.

    Call it after each `kernel.insert`.
    """
    highest = state[at.HIGHEST_SEQUENCE]
    seen = repair[R_SEEN]
    is_new = repair[R_GENERATION] != state[at.GENERATION] or seen == at.NONE
    if is_new or highest - seen > slots.shape[0]:
        repair[R_HOLES] = 0
        repair[R_GENERATION] = state[at.GENERATION]
        seen = highest
        repair[R_EXPECTED] = highest
    if highest > seen:
        repair[R_SPACING] = (state[at.HIGHEST_MEDIA] - repair[R_SEEN_MEDIA]) // (highest - seen)
        for extended in range(max(seen, repair[R_EXPECTED]) + 1, highest):
            if _has_come(state, slots, extended):
                continue
            media = repair[R_SEEN_MEDIA] + (extended - seen) * repair[R_SPACING]
            _note(repair, wanted, extended, media, now_ns + _PATIENCE_NS)
    repair[R_SEEN] = highest
    repair[R_SEEN_MEDIA] = state[at.HIGHEST_MEDIA]
    return int(repair[R_HOLES])


@kernel(
    "int64(int64[::1], int64[:, ::1], int64[::1], int64[:, ::1], int64, int64, int64, int64[::1])"
)
def requests(
    repair: NDArray[np.int64],
    wanted: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    now_ns: int,
    plays_ns: int,
    round_trip_ns: int,
    out: NDArray[np.int64],
) -> int:
    """Write the sequence numbers to ask for now into `out`; return how many.

    repair, wanted  of `watch`
    state, slots    of the jitter buffer
    plays_ns        when the sample at NEXT_MEDIA must be decoded
    round_trip_ns   to the sender and back
    out             (n,) int64, 16-bit sequence numbers
    """
    repair[R_NOT_BEFORE_NS] = now_ns + _PAUSE_NS
    jitter_ns = (state[at.JITTER_Q4] >> 4) * 62_500 // 3
    repair[R_SILENCE_NS] = _SILENCE_NS + _JITTERS * jitter_ns
    _expect(repair, wanted, state, now_ns)
    asked = 0
    i = 0
    while i < repair[R_HOLES]:
        hole = wanted[i]
        ahead_ns = (hole[W_MEDIA] - state[at.NEXT_MEDIA]) * 62_500 // 3
        is_hopeless = now_ns + round_trip_ns + _MARGIN_NS > plays_ns + ahead_ns
        if _has_come(state, slots, hole[W_SEQUENCE]) or is_hopeless or hole[W_TRIES] >= TRIES_MAX:
            repair[R_GIVEN_UP] += 1 - _has_come(state, slots, hole[W_SEQUENCE])
            repair[R_HOLES] -= 1
            for word in range(hole.shape[0]):
                hole[word] = wanted[repair[R_HOLES], word]
            continue
        if now_ns >= hole[W_DUE_NS] and asked < out.shape[0]:
            out[asked] = hole[W_SEQUENCE] & 0xFFFF
            asked += 1
            hole[W_TRIES] += 1
            hole[W_DUE_NS] = now_ns + round_trip_ns + _MARGIN_NS
        i += 1
    repair[R_ASKED] += asked
    return asked


@kernel("int64(int64[::1], int64[:, ::1], int64[::1])")
def next_request_ns(
    repair: NDArray[np.int64], wanted: NDArray[np.int64], state: NDArray[np.int64]
) -> int:
    """Return when `requests` may have something to ask for again, or NONE: the next hole's turn,
    or the moment from which it counts that nothing has come.
    """
    found = at.NONE
    spacing_ns = repair[R_SPACING] * 62_500 // 3
    beyond = max(0, repair[R_EXPECTED] - repair[R_SEEN])
    if repair[R_SEEN] != at.NONE and spacing_ns > 0 and beyond < _AHEAD_MAX:
        silence_ns = repair[R_SILENCE_NS] + (beyond + 1) * spacing_ns
        found = state[at.HIGHEST_ARRIVAL_NS] + silence_ns
    for i in range(repair[R_HOLES]):
        due = wanted[i, W_DUE_NS]
        if found == at.NONE or due < found:
            found = due
    return found if found == at.NONE else max(found, repair[R_NOT_BEFORE_NS])
