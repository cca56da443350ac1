"""Where a packet lies in media time: sequence number, stamp and arrival, each with its own say.

Numbers are made long as in RFC 3550, A.1. What follows in number follows in time, by the duration
of what came before; a stamp says how long the sender paused. So a stamp is believed when it says
what the number says, or that the sender paused for a time that can have passed. A stamp that
cannot be right (a clock that was set, one of another rate, a count of samples that stood still)
moves nothing: the sound goes on where its number puts it.

::

    stamp says       number says                     media time
    the same         (within half a packet)          by number, so that nothing gapes or overlaps
    a pause          no sound lost                   by stamp
    a longer pause   than has passed                 by number; by arrival where that is far off
    less time        than the packets last           by number; by arrival where that is far off
    anything         far from all that was known     none: doubted, until one follows in its time
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.jitter.proof import WOBBLE_MAX_SAMPLES, weigh
from node.kernel import inlined, kernel
from node.units import RATE_HZ, SAMPLES_PER_MS

DROPOUT_MAX: Final = 3000
"""A sequence number may be so far ahead (MAX_DROPOUT of RFC 3550, A.1)."""

_EARLY_SAMPLES: Final = RATE_HZ * 4 // 10
"""Nothing comes so much earlier than the fastest packet of late, so its stamp is wrong. A path may
get faster by less than this while its sender pauses."""

_ASTRAY_SAMPLES: Final = RATE_HZ // 2
"""A number that lies so much before what arrives with it says nothing of the time any more."""

_SHORTEST_SAMPLES: Final = 5 * SAMPLES_PER_MS // 2
_LONGEST_SAMPLES: Final = 120 * SAMPLES_PER_MS
_PAUSES_SAMPLES: Final = 10 * RATE_HZ
"""A packet is old when all between it and the newest may last so long, with so much pause."""

_QUIET_NS: Final = 400_000_000
"""When nothing of a stream came for so long, old numbers are its sender's new beginning."""

_FOLLOWS_MAX: Final = 16
"""A second packet may be so many numbers after a first one that fits nowhere..."""

_ASIDE_MAX: Final = 16
"""...and one that was overtaken so many before it."""

_FLOOR_WINDOW_SAMPLES: Final = 4 * RATE_HZ
_OLDER_MAX: Final = 0x4000


@kernel("int64(int64, int64)")
def difference_32(later: int, earlier: int) -> int:
    """Return `later` - `earlier` of two 32-bit times, in -2**31 .. 2**31 - 1."""
    return ((later - earlier + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


@kernel("int64(int64[::1], int64, int64)")
def _by_arrival(state: NDArray[np.int64], nominal: int, now: int) -> int:
    """Return `nominal`, or what a packet on the floor has now, where that is far after it."""
    on_floor = now - min(state[at.FLOOR_NOW], state[at.FLOOR_BEFORE])
    return int(on_floor if on_floor - nominal > _ASTRAY_SAMPLES else nominal)


@kernel("int64(int64[::1], int64, int64, int64, int64)")
def _media_after(
    state: NDArray[np.int64], step: int, by_stamp: int, now: int, is_exact: int
) -> int:
    """Return the media time of a packet `step` numbers after the newest, or NONE.

    by_stamp  media time by its stamp alone
    now       its arrival in samples
    is_exact  1: its stamp is right
    """
    last = state[at.HIGHEST_SAMPLES]
    nominal = state[at.HIGHEST_MEDIA] + step * last
    off = by_stamp - nominal
    if is_exact:
        return by_stamp
    if abs(off) <= min(last // 2, WOBBLE_MAX_SAMPLES):
        state[at.UNWRAPPED_DEVIATION] = off
        return int(nominal)
    earliest = now - min(state[at.FLOOR_NOW], state[at.FLOOR_BEFORE]) + _EARLY_SAMPLES
    is_trusted = state[at.STAMPS_WRONG] == 0
    if is_trusted and off > 0 and by_stamp <= earliest:
        return by_stamp
    # Packets between may have been shorter than the last one.
    least = state[at.HIGHEST_MEDIA] + last + (step - 1) * _SHORTEST_SAMPLES
    # What the stamps fell behind little by little, by a clock that is slow, is no sign of that.
    is_shorter = off < 0 and off - state[at.DEVIATION] < -min(last // 2, WOBBLE_MAX_SAMPLES)
    if is_trusted and is_shorter and step > 1 and by_stamp >= least:
        return by_stamp
    if step > 1 and nominal > earliest:
        return at.NONE
    return _by_arrival(state, nominal, now)


@kernel("int64(int64[::1], int64, int64, int64)")
def _media_before(state: NDArray[np.int64], step: int, by_stamp: int, samples: int) -> int:
    """Return the media time of an old packet, `step` < 0 numbers after the newest, or NONE."""
    away = by_stamp - state[at.HIGHEST_MEDIA] - state[at.DEVIATION]
    oldest = step * _LONGEST_SAMPLES - _PAUSES_SAMPLES
    if not oldest <= away < WOBBLE_MAX_SAMPLES or step < -_OLDER_MAX:
        return at.NONE
    nominal = state[at.HIGHEST_MEDIA] + step * samples
    is_near = abs(by_stamp - nominal) <= min(samples // 2, WOBBLE_MAX_SAMPLES)
    return int(nominal if state[at.STAMPS_WRONG] or is_near or away >= 0 else by_stamp)


@inlined
def _is_confirmed(state: NDArray[np.int64], sequence: int, samples: int, now_ns: int) -> bool:
    """Return whether a packet that fits nowhere goes on at its pace from others of its kind.

    Where the stream goes on meanwhile, those are strays; and so are some that came together, as
    the old ones do that a path had held.
    """
    ahead = (sequence - state[at.PROBATION_SEQUENCE] + _ASIDE_MAX) & 0xFFFF
    if state[at.PROBATION_SEQUENCE] == at.NONE or ahead >= _ASIDE_MAX + _FOLLOWS_MAX:
        state[at.PROBATION_SEQUENCE] = (sequence + 1) & 0xFFFF
        state[at.PROBATION_SINCE_NS] = now_ns
        return False
    quiet = (now_ns - state[at.HIGHEST_ARRIVAL_NS]) * 3 // 62_500
    lasted = (now_ns - state[at.PROBATION_SINCE_NS]) * 3 // 62_500
    follows = ahead >= _ASIDE_MAX and 2 * lasted >= (ahead + 1 - _ASIDE_MAX) * samples
    return bool(follows and quiet >= state[at.HIGHEST_SAMPLES])


@kernel("int64(int64[::1], int64, int64, int64, int64, int64)")
def unwrap(
    state: NDArray[np.int64],
    sequence: int,
    timestamp: int,
    samples: int,
    flags: int,
    now_ns: int,
) -> int:
    """Write UNWRAPPED_SEQUENCE and UNWRAPPED_MEDIA; return 0, PROBATION or RESTARTED.

    sequence   16 bits as sent
    timestamp  32 bits as sent
    samples    duration of the packet
    flags      of `kernel.insert`
    now_ns     arrival

    What fits nowhere is believed when another packet follows it in its time (probation). Then
    both go on *above* all that was before, so that media time never runs backwards.
    """
    state[at.UNWRAPPED_TIMESTAMP] = timestamp
    state[at.UNWRAPPED_DEVIATION] = 0
    highest = state[at.HIGHEST_SEQUENCE]
    if highest == at.NONE:
        state[at.UNWRAPPED_SEQUENCE] = sequence
        state[at.UNWRAPPED_MEDIA] = timestamp
        return 0
    ahead = (sequence - highest) & 0xFFFF
    step = ahead if ahead < 0x8000 else ahead - 0x10000
    stamp_step = difference_32(timestamp, state[at.HIGHEST_TIMESTAMP])
    by_stamp = state[at.HIGHEST_MEDIA] + state[at.DEVIATION] + stamp_step
    quiet_ns = now_ns - state[at.HIGHEST_ARRIVAL_NS]
    media = at.NONE
    if step == 0 and stamp_step == 0:
        media = state[at.HIGHEST_MEDIA]
    elif 0 < step < DROPOUT_MAX:
        media = _media_after(state, step, by_stamp, now_ns * 3 // 62_500, flags & at.EXACT)
        if media != at.NONE:
            weigh(state, step, stamp_step, samples, now_ns)
    elif step < 0 and quiet_ns < _QUIET_NS:
        media = _media_before(state, step, by_stamp, samples)
    if media != at.NONE:
        state[at.PROBATION_SEQUENCE] = at.NONE
        state[at.UNWRAPPED_SEQUENCE] = highest + step
        state[at.UNWRAPPED_MEDIA] = media
        return 0
    if not _is_confirmed(state, sequence, samples, now_ns):
        return at.PROBATION
    above = max(state[at.HIGHEST_MEDIA], state[at.NEXT_MEDIA]) + 1
    state[at.UNWRAPPED_SEQUENCE] = highest + 0x10000 + ((sequence - highest) & 0xFFFF)
    state[at.UNWRAPPED_MEDIA] = above + ((timestamp - above) & 0xFFFF_FFFF)
    return at.RESTARTED


@kernel("void(int64[::1], int64, int64, int64, int64)")
def advance(state: NDArray[np.int64], extended: int, media: int, samples: int, now_ns: int) -> None:
    """Note the newest packet, just unwrapped, and the jitter to it (RFC 3550, 6.4.1, A.8)."""
    now = now_ns * 3 // 62_500
    transit = now - media
    if state[at.HIGHEST_ARRIVAL_NS] != at.NONE:
        waited = (now_ns - state[at.HIGHEST_ARRIVAL_NS]) * 3 // 62_500
        change = abs(waited - (media - state[at.HIGHEST_MEDIA]))
        state[at.JITTER_Q4] += change - ((state[at.JITTER_Q4] + 8) >> 4)
    else:
        state[at.FLOOR_NOW] = transit
        state[at.FLOOR_BEFORE] = transit
        state[at.FLOOR_SINCE] = now
    if now - state[at.FLOOR_SINCE] > _FLOOR_WINDOW_SAMPLES:
        state[at.FLOOR_BEFORE] = state[at.FLOOR_NOW]
        state[at.FLOOR_NOW] = transit
        state[at.FLOOR_SINCE] = now
    state[at.FLOOR_NOW] = min(state[at.FLOOR_NOW], transit)
    state[at.HIGHEST_SEQUENCE] = extended
    state[at.HIGHEST_MEDIA] = media
    state[at.HIGHEST_ARRIVAL_NS] = now_ns
    state[at.HIGHEST_TIMESTAMP] = state[at.UNWRAPPED_TIMESTAMP]
    state[at.HIGHEST_SAMPLES] = samples
    state[at.DEVIATION] = state[at.UNWRAPPED_DEVIATION]
