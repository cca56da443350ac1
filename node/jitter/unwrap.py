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

Packets of other payload types may share the numbers (parity, tones, probes). What came under a
number of theirs takes no time; where they were lost or left out on the way, the stamps say that
a gap in the numbers is shorter, by whole packets, than it looks.
"""

from typing import Final

from node.jitter import state as at
from node.jitter.ledger import sounds_before
from node.jitter.proof import WOBBLE_MAX_SAMPLES, weigh
from node.jitter.state import Jitter, Packet, Slot
from node.kernel import inlined, inner_kernel
from node.kernel.conversions import ns_to_samples
from node.kernel.record import Records
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

_GAP_MAX: Final = 64
"""Numbers of a gap that stamps are believed about."""

FLOOR_WINDOW_SAMPLES: Final = 4 * RATE_HZ
_OLDER_MAX: Final = 0x4000


@inner_kernel("int64(int64, int64)")
def difference_32(later: int, earlier: int) -> int:
    """Return `later` - `earlier` of two 32-bit times, in -2**31 .. 2**31 - 1."""
    return ((later - earlier + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


@inner_kernel("int64(Jitter, int64, int64)")
def _by_arrival(state: Jitter, nominal: int, now: int) -> int:
    """Return `nominal`, or what a packet on the floor has now, where that is far after it."""
    on_floor = now - min(state.floor_now, state.floor_before)
    return int(on_floor if on_floor - nominal > _ASTRAY_SAMPLES else nominal)


@inner_kernel("int64(Jitter, int64, int64, int64, int64)")
def _media_after(state: Jitter, step: int, by_stamp: int, now: int, is_exact: int) -> int:
    """Return the media time of a packet `step` numbers of sound after the newest, or NONE.

    by_stamp  media time by its stamp alone
    now       its arrival in samples
    is_exact  1: its stamp is right
    """
    last = state.highest_samples
    nominal = state.highest_media + step * last
    off = by_stamp - nominal
    if is_exact:
        return by_stamp
    if abs(off) <= min(last // 2, WOBBLE_MAX_SAMPLES):
        state.unwrapped_deviation = off
        return int(nominal)
    earliest = now - min(state.floor_now, state.floor_before) + _EARLY_SAMPLES
    is_trusted = state.stamps_wrong == 0
    if is_trusted and off > 0 and by_stamp <= earliest:
        return by_stamp
    # Packets between may have been shorter than the last one.
    least = state.highest_media + last + (step - 1) * _SHORTEST_SAMPLES
    # What the stamps fell behind little by little, by a clock that is slow, is no sign of that.
    is_shorter = off < 0 and off - state.deviation < -min(last // 2, WOBBLE_MAX_SAMPLES)
    if is_trusted and is_shorter and step > 1 and by_stamp >= least:
        return by_stamp
    if step > 1 and nominal > earliest:
        return at.NONE
    return _by_arrival(state, nominal, now)


@inner_kernel("int64(Jitter, int64, int64, int64)")
def _media_before(state: Jitter, step: int, by_stamp: int, samples: int) -> int:
    """Return the media time of an old packet, `step` < 0 numbers after the newest, or NONE."""
    away = by_stamp - state.highest_media - state.deviation
    oldest = step * _LONGEST_SAMPLES - _PAUSES_SAMPLES
    if not oldest <= away < WOBBLE_MAX_SAMPLES or step < -_OLDER_MAX:
        return at.NONE
    nominal = state.highest_media + step * samples
    is_near = abs(by_stamp - nominal) <= min(samples // 2, WOBBLE_MAX_SAMPLES)
    return int(nominal if state.stamps_wrong or is_near or away >= 0 else by_stamp)


@inlined
def _is_confirmed(state: Jitter, sequence: int, samples: int, now_ns: int) -> bool:
    """Return whether a packet that fits nowhere goes on at its pace from others of its kind.

    Where the stream goes on meanwhile, those are strays; and so are some that came together, as
    the old ones do that a path had held.
    """
    ahead = (sequence - state.probation_sequence + _ASIDE_MAX) & 0xFFFF
    if state.probation_sequence == at.NONE or ahead >= _ASIDE_MAX + _FOLLOWS_MAX:
        state.probation_sequence = (sequence + 1) & 0xFFFF
        state.probation_since_ns = now_ns
        return False
    quiet = ns_to_samples(now_ns - state.highest_arrival_ns)
    lasted = ns_to_samples(now_ns - state.probation_since_ns)
    follows = ahead >= _ASIDE_MAX and 2 * lasted >= (ahead + 1 - _ASIDE_MAX) * samples
    return bool(follows and quiet >= state.highest_samples)


@inlined
def _by_stamps(state: Jitter, step: int, stamp_step: int) -> int:
    """Return `step`, or of how many packets the stamps say, where they say it of fewer."""
    if not 1 < step <= _GAP_MAX or state.stamps_wrong != 0:
        return step  # nearly every packet: it is spared a division, which costs as much as the rest
    last = state.highest_samples
    sounds = (stamp_step + last // 2) // last
    is_whole = 4 * abs(stamp_step - sounds * last) <= last
    return sounds if is_whole and 1 <= sounds < step else step


@inlined
def _follow(state: Jitter, slots: Records[Slot], step: int, stamp_step: int, packet: Packet) -> int:
    """Return the media time of a packet `step` numbers after the newest, or NONE; weigh it."""
    counted = step
    if step > 1:
        first = state.highest_sequence + 1
        counted = sounds_before(state, slots, first, first + step - 1) + 1
    sounds = _by_stamps(state, counted, stamp_step)
    by_stamp = state.highest_media + state.deviation + stamp_step
    now_ns = packet.arrival_ns
    is_exact = packet.marks & at.EXACT
    media = _media_after(state, sounds, by_stamp, ns_to_samples(now_ns), is_exact)
    if media != at.NONE:
        weigh(state, counted, counted - sounds, stamp_step, packet.samples, now_ns)
    return media


@inner_kernel("int64(Jitter, Slot[::1], Packet)")
def unwrap(state: Jitter, slots: Records[Slot], packet: Packet) -> int:
    """Write unwrapped_sequence and unwrapped_media; return 0, PROBATION or RESTARTED.

    What fits nowhere is believed when another packet follows it in its time (probation). Then
    both go on *above* all that was before, so that media time never runs backwards.
    """
    sequence = packet.sequence
    timestamp = packet.timestamp
    samples = packet.samples
    now_ns = packet.arrival_ns
    state.unwrapped_timestamp = timestamp
    state.unwrapped_deviation = 0
    highest = state.highest_sequence
    if highest == at.NONE:
        state.unwrapped_sequence = sequence
        state.unwrapped_media = timestamp
        return 0
    ahead = (sequence - highest) & 0xFFFF
    step = ahead if ahead < 0x8000 else ahead - 0x10000
    stamp_step = timestamp - state.highest_timestamp
    if not packet.marks & at.EXACT:
        stamp_step = difference_32(timestamp, state.highest_timestamp)
    by_stamp = state.highest_media + state.deviation + stamp_step
    quiet_ns = now_ns - state.highest_arrival_ns
    media = at.NONE
    if step == 0 and stamp_step == 0:
        media = state.highest_media
    elif 0 < step < DROPOUT_MAX:
        media = _follow(state, slots, step, stamp_step, packet)
    elif step < 0 and quiet_ns < _QUIET_NS:
        media = _media_before(state, step, by_stamp, samples)
    if media != at.NONE:
        state.probation_sequence = at.NONE
        state.unwrapped_sequence = highest + step
        state.unwrapped_media = media
        return 0
    if not _is_confirmed(state, sequence, samples, now_ns):
        return at.PROBATION
    above = max(state.highest_media, state.next_media) + 1
    state.unwrapped_sequence = highest + 0x10000 + ((sequence - highest) & 0xFFFF)
    state.unwrapped_media = above + ((timestamp - above) & 0xFFFF_FFFF)
    return at.RESTARTED


@inner_kernel("void(Jitter, int64, int64, int64, int64)")
def advance(state: Jitter, extended: int, media: int, samples: int, now_ns: int) -> None:
    """Note the newest packet, just unwrapped, and the jitter to it (RFC 3550, 6.4.1, A.8)."""
    now = ns_to_samples(now_ns)
    transit = now - media
    if state.highest_arrival_ns != at.NONE:
        waited = ns_to_samples(now_ns - state.highest_arrival_ns)
        change = abs(waited - (media - state.highest_media))
        state.jitter_q4 += change - ((state.jitter_q4 + 8) >> 4)
    else:
        state.floor_now = transit
        state.floor_before = transit
        state.floor_since = now
    if now - state.floor_since > FLOOR_WINDOW_SAMPLES:
        state.floor_before = state.floor_now
        state.floor_now = transit
        state.floor_since = now
    state.floor_now = min(state.floor_now, transit)
    state.highest_sequence = extended
    state.highest_media = media
    state.highest_arrival_ns = now_ns
    state.highest_timestamp = state.unwrapped_timestamp
    state.highest_samples = samples
    state.deviation = state.unwrapped_deviation
