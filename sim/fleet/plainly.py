"""Periods as nearly all are, of a node that hears its source: no more than they change.

```
listen ─► go_on ─► packet: next in number, in time ─► period: its packet is held ─► and again
            ▲                 │ no                            │ no
            └─────────────────┴── as it was ─► the node's own kernels, one packet or period ──┘
```
Between two looks at anything rare nothing is written that only the last packet leaves behind, or
that their number tells: it is made up for at the end. What it leaves is what the node's kernels do,
to every field: a test has both play the same arrivals. They are called here wherever they are
small; what is spelt out again is the part of them that such a packet meets.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.resampler import TAPS
from node.clock.line import position_on_q16
from node.clock.servo import HARD_RESYNC_Q16, servo_step
from node.clock.state import MODE_ENVELOPE
from node.counters import Origin
from node.horn import REFRESH_NS
from node.jitter import state as js
from node.jitter.state import Slot
from node.kernel import inlined, inner_kernel
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Records
from node.source.state import FIFO_SAMPLES, NO_FADE, Played, Source
from node.stack import LATENCY_NS
from node.units import NS_PER_MS, PACKET_SAMPLES_MAX
from sim.fleet.around import BEFORE, NUMBER, PRESENTATION, nth
from sim.fleet.course import Course, lay_down, new_course, take_up
from sim.fleet.on_stack import as_part
from sim.fleet.plain_packet import hear
from sim.fleet.state import Hearing, Listener

_WHOLE_NS: Final = NS_PER_MS // 2
"""A card that goes on within so much of when its period ended was not interrupted."""

_RECEIVED: Final = int(Origin.RECEIVED)
_position_on_q16 = as_part(position_on_q16)
_servo_step = as_part(servo_step)


@inlined
def _is_settled(source: Source) -> bool:
    """Return whether a source plays as one that nothing has befallen for a while."""
    state, line, playout = source.jitter[0], source.line[0], source.playout[0]
    return bool(
        state.mode == js.SYNCHRONISED
        and state.phase == js.PLAYING
        and state.proven == 1
        and state.pending_from == js.NONE
        and state.probation_sequence == js.NONE
        and state.concealed_run == 0
        and state.deviation == 0
        and line.mode == MODE_ENVELOPE
        and line.packets > 2
        and line.suspects == 0
        and line.steady[0].since_ns < 0
        and line.last_ns >= line.delay_from_ns
        and line.delay_ns == line.delay_target_ns
        and playout.running == 1
        and playout.planned == 0
        and playout.fade == NO_FADE
        and playout.generation == state.generation
    )


@inlined
def _is_next(hearing: Hearing, number: int) -> bool:
    """Return whether a packet would be the one after the newest, and nobody speaks beside it."""
    listener = hearing.listener[0]
    setup = listener.setup[0]
    source = hearing.source[0]
    state = source.jitter[0]
    newest = source.slots[state.highest_sequence & (source.slot_count - 1)]
    samples = setup.packet_samples
    stamp = setup.first_timestamp + number * samples
    is_alone = listener.alone == 1 and listener.sounding == 1 and setup.speaks == 0
    return bool(
        is_alone
        and setup.closely == 0
        and listener.fresh == 0
        and number > 0
        and (setup.first_sequence + number) & 0xFFFF == (state.highest_sequence + 1) & 0xFFFF
        and stamp & 0xFFFF_FFFF == (state.highest_timestamp + samples) & 0xFFFF_FFFF
        and state.highest_samples == samples
        and state.last_samples == samples
        and samples % 3 == 0  # so that they last whole ns
        and newest.media + newest.samples <= state.highest_media + samples
    )


@inlined
def _find_held(own: Course, slots: Records[Slot]) -> None:
    """Find up to where packets are held without a hole, from the next one to play on."""
    number = own.sequence - own.gap
    while number < own.sequence:
        slot = slots[number & (slots.shape[0] - 1)]
        is_plain = (
            slot.status == js.HOLDING
            and slot.sequence == number
            and slot.media == own.held_media
            and slot.samples == own.samples
            and slot.marks & (js.REDUNDANT | js.RETRANSMITTED) == 0
        )
        if not is_plain:
            return
        number += 1
        own.held_media += own.samples
    own.is_whole = int(number == own.sequence and own.held_media == own.media)


@inlined
def _take_out(
    own: Course, source: Source, slots: Records[Slot], journal: Records[Played], ahead_ns: int
) -> None:
    """Play the next packet, which is held, and note it: `pull` of `node.jitter.kernel`.

    ahead_ns  when the period begins of which it is a part
    """
    slot = slots[nth((own.sequence - own.gap) & (slots.shape[0] - 1))]
    row = journal[nth(own.row)]
    ahead_q16 = (own.next_media << 16) - source.playout[0].position_q16
    at_ns = ahead_ns + (samples_to_ns(ahead_q16) >> 16)
    row.ssrc = own.ssrc
    row.media = own.next_media
    row.samples = own.samples
    row.origin = _RECEIVED
    row.arrival_ns = slot.arrival_ns
    row.presentation_ns = at_ns
    slot.status = js.PLAYED
    own.row += 1
    source.playout[0].last_sound_ns = at_ns + samples_to_ns(own.samples)
    own.next_media += own.samples
    own.gap -= 1


@inlined
def _keeps_horn(source: Source, listener: Listener, ahead_ns: int) -> bool:
    """Keep the horn, which the source has; return False, and change nothing, where it may not."""
    if ahead_ns < listener.confirmed_ns:
        return True
    sounded_ns = source.playout[0].last_sound_ns
    live_until_ns = max(listener.live_until_ns, sounded_ns + listener.setup[0].hold_ns)
    if live_until_ns <= ahead_ns:
        return False
    listener.confirmed_ns = min(ahead_ns, sounded_ns) + REFRESH_NS
    listener.live_until_ns = live_until_ns
    return True


@inlined
def _steer(source: Source, n: int, ahead_ns: int) -> bool:
    """Choose the step of a period; return False, and change nothing, where it has to jump."""
    line, playout, resampler = source.line[0], source.playout[0], source.resampler[0]
    ahead, rate_ppm, last_ns = line.ahead_ns, line.rate_ppm, line.last_ns
    here_q16 = (resampler.media << 16) + (resampler.fraction_q32 >> 16)
    error_q16 = _position_on_q16(line, ahead_ns) - here_q16
    if abs(error_q16) > HARD_RESYNC_Q16:
        line.ahead_ns, line.rate_ppm, line.last_ns = ahead, rate_ppm, last_ns
        return False
    playout.error_q16 = error_q16
    playout.error_max_q16 = max(playout.error_max_q16, abs(error_q16))
    playout.position_q16 = here_q16
    source.servo[0].feed_forward_ppm = line.rate_ppm
    playout.step_q32 = _servo_step(source.servo[:], error_q16, n)
    playout.period_ns = ahead_ns
    playout.period_end_ns = ahead_ns + samples_to_ns(n)
    return True


@inlined
def _play(
    own: Course,
    source: Source,
    n: int,
    slots: Records[Slot],
    journal: Records[Played],
    ahead_ns: int,
) -> bool:
    """Play a period that begins `ahead_ns`; return False, with nothing changed, if not plain."""
    playout, resampler = source.playout[0], source.resampler[0]
    # As if the step were the largest: one more packet is looked at than is needed, now and then.
    most = n + (n >> 6) + TAPS + resampler.start - playout.filled
    is_whole = abs(ahead_ns - playout.period_end_ns) <= _WHOLE_NS
    held = (own.media if own.is_whole else own.held_media) - own.next_media
    if not (is_whole & (most <= held)) or not _steer(source, n, ahead_ns):
        return False
    ahead = (resampler.fraction_q32 + (n - 1) * playout.step_q32) >> 32
    while playout.filled < resampler.start + ahead + TAPS:
        if FIFO_SAMPLES - playout.filled < PACKET_SAMPLES_MAX:
            gone = min(resampler.start, playout.filled)
            resampler.start -= gone
            playout.filled -= gone
        _take_out(own, source, slots, journal, ahead_ns)
        playout.filled += own.samples
    position_q32 = resampler.fraction_q32 + n * playout.step_q32
    resampler.fraction_q32 = position_q32 & 0xFFFF_FFFF
    resampler.start += position_q32 >> 32
    resampler.media += position_q32 >> 32
    return True


@inner_kernel("void(Hearing, int64[:, ::1], int64[:, ::1], int64[:, ::1], Played[::1], int64)")
def go_on(
    hearing: Hearing,
    sheet: NDArray[np.int64],
    arrivals: NDArray[np.int64],
    periods: NDArray[np.int64],
    journal: Records[Played],
    room: int,
) -> None:
    """Go on with the packets and periods of a chunk up to the first that is not plain.

    sheet     (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    arrivals  (2, n) int64, ns and counts, in the order of their times
    periods   (6, m) int64, ns, flags and counts
    journal   (k,), the listener's `rows` of it are filled
    room      rows of it that stay free

    The listener says how far it is, before that packet or period.
    """
    source, listener = hearing.source[0], hearing.listener[0]
    packet, period = listener.packet, listener.period
    if packet >= listener.come or period >= listener.until or source.playout[0].journal_written > 0:
        return
    number = arrivals[NUMBER, packet]
    if not (_is_settled(source) and _is_next(hearing, number)):
        return
    own = new_course()
    take_up(own, source, listener, packet, number, sheet.shape[1])
    slots = source.slots[: source.slot_count]
    _find_held(own, slots)
    until, rows = listener.until, journal.shape[0] - room
    n = listener.setup[0].period_samples
    while period < until and own.row < rows:
        if packet < periods[BEFORE, nth(period)]:
            if not hear(own, source, slots, sheet, arrivals, packet):
                break
            packet += 1
            continue
        ahead_ns = periods[PRESENTATION, nth(period)] + LATENCY_NS
        if not (
            _keeps_horn(source, listener, ahead_ns)
            and _play(own, source, n, slots, journal, ahead_ns)
        ):
            break
        period += 1
    listener.packet, listener.period = packet, period
    lay_down(own, source, listener, sheet, packet)
