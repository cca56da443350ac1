"""What a node that counts does with its packets and periods, in one kernel: tier T3's listener.

```
        first packet        second, soon after it            nothing for 10 s
NOBODY ─────────────► ONE ──────────────────────► SOURCE ──────────────────────► NOBODY
                                                   │ ▲
                              a packet is due: has the horn, ramps, and gives it back
```

Packets go into the jitter buffer and periods come out of it by the node's own kernels, over the
record of the node's own `Receiver`. What `SpeakerNode` and `Horn` decide around that, for a node
that hears one station, is here in a few numbers; a test holds every count and every row of the
journal to theirs. What needs more than that (numbers that say nothing or jump, a stream that does
not prove to be Opus) is BEYOND: such a node is played by tier T2.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.gain import next_gain
from node.horn import REFRESH_NS
from node.jitter import state as js
from node.jitter.kernel import admit, settle
from node.jitter.proof import judge
from node.jitter.repair import watch
from node.kernel import inner_kernel, kernel
from node.kernel.record import Records
from node.opus.foreign import KINDS
from node.rtp.packet import HEADER_BYTES
from node.source import playback, playback_adaptive
from node.source.admission import SECOND_WITHIN, STRAY_NS, STRAY_PACKETS
from node.source.receiver import FORGET_NS, SPELL_NS
from node.source.state import JOURNAL_ROWS, Played, Source
from node.stack import LATENCY_NS
from node.units import NS_PER_S
from sim.fleet import talking
from sim.fleet.around import AT, BEFORE, NUMBER, PRESENTATION
from sim.fleet.plainly import go_on
from sim.fleet.state import Hearing, Listener, Setup

NOBODY: Final = 0
ONE: Final = 1
SOURCE: Final = 2

# Why `listen` came back.
WHOLE: Final = 0
ADMITS: Final = 1
"""A second packet came: make a source for both, and go on."""
FORGETS: Final = 2
"""The source has been silent for so long that it is given up; it has stopped."""
FULL: Final = 3
"""The journal holds no more."""
BEYOND: Final = 4
UNDRAWN: Final = 5
"""Draws of what requests meet on their way are used up: make more, and go on."""

_JOURNAL_SPARE: Final = 2048
"""Rows that one period may write, and more: a period is at most 4096 samples."""

assert _JOURNAL_SPARE <= JOURNAL_ROWS


@inner_kernel("int64(Hearing, int64[:, ::1], int64, int64)")
def _receive(hearing: Hearing, sheet: NDArray[np.int64], number: int, now_ns: int) -> int:
    """Take one packet, as `Receiver.receive` does; return WHOLE or BEYOND.

    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    source = hearing.source[0]
    listener = hearing.listener[0]
    setup = listener.setup[0]
    if now_ns - listener.last_arrival_ns > SPELL_NS:
        listener.resumed_ns = now_ns
    at = number % sheet.shape[1]
    packet = source.packet[0]
    state = source.jitter[0]
    if state.proven == 0:
        judge(state, sheet[2, at], KINDS)
    packet.offset = 0
    packet.length = sheet[1, at]
    packet.sequence = (setup.first_sequence + number) & 0xFFFF
    packet.timestamp = (setup.first_timestamp + number * setup.packet_samples) & 0xFFFF_FFFF
    packet.samples = setup.packet_samples
    packet.marks = sheet[0, at] | (js.MARKER if number == 0 else 0)
    packet.arrival_ns = now_ns
    slots = source.slots[: source.slot_count]
    result = admit(state, source.steering[0], slots, packet)
    playback.note_arrival(source, result, now_ns)
    if setup.speaks:
        hearing.talk[0].credit_bytes += HEADER_BYTES + sheet[1, at]
        if hearing.talk[0].asks and result >= 0:
            watch(source.repair[0], state, slots, now_ns)
    listener.last_arrival_ns = now_ns
    listener.packets += 1
    return BEYOND if result == js.RESTARTED else WHOLE


@inner_kernel("int64(Hearing, int64[:, ::1], int64, int64)")
def _take(hearing: Hearing, sheet: NDArray[np.int64], number: int, now_ns: int) -> int:
    """Take what came, as `SpeakerNode.receive_datagram` does; return WHOLE, ADMITS or BEYOND.

    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    listener = hearing.listener[0]
    if listener.phase == ONE and 0 < (number - listener.waiting) & 0xFFFF <= SECOND_WITHIN:
        return ADMITS
    if listener.phase == SOURCE:
        if listener.fresh:
            listener.fresh = 0
            listener.strays = 0
            listener.last_arrival_ns = listener.waiting_ns
            listener.resumed_ns = listener.waiting_ns
            if listener.setup[0].speaks:
                talking.begin(hearing.talk[0], listener.waiting_ns)
            _receive(hearing, sheet, listener.waiting, listener.waiting_ns)
        return int(_receive(hearing, sheet, number, now_ns))
    if listener.phase == ONE:
        listener.on_probation += 1
        if listener.strays == 0:
            listener.strays_ns = now_ns
        listener.strays += 1
        if listener.strays >= STRAY_PACKETS and now_ns - listener.strays_ns >= STRAY_NS:
            return BEYOND
    listener.phase = ONE
    listener.waiting = number
    listener.waiting_ns = now_ns
    return WHOLE


@inner_kernel("void(Source, Listener, int64, int64)")
def _ask_for_horn(source: Source, listener: Listener, hold_ns: int, ahead_ns: int) -> None:
    """Tell the arbiter when a source was heard last: `Horn._confirm`."""
    sounded_ns = source.playout[0].last_sound_ns
    listener.confirmed_ns = min(ahead_ns, sounded_ns) + REFRESH_NS
    if source.jitter[0].proven == 0:
        listener.live_until_ns = -1
    else:
        listener.live_until_ns = max(listener.live_until_ns, sounded_ns + hold_ns)


@inner_kernel("void(Source, Listener)")
def stop(source: Source, listener: Listener) -> None:
    """Let the source lose the horn: `Playable.stop`."""
    settle(source.jitter[0], 1)
    source.playout[0].running = 0
    source.playout[0].planned = 0
    listener.sounding = 0
    listener.alone = 0
    listener.gain = 0.0


@inner_kernel("int64(Source, Listener, Setup, int64)")
def _arbitrate(source: Source, listener: Listener, setup: Setup, ahead_ns: int) -> int:
    """Decide whether the source sounds in this period, as `Horn` does; return 1 if so."""
    listener.alone = 0
    if listener.sounding:
        _ask_for_horn(source, listener, setup.hold_ns, ahead_ns)
    else:
        if setup.adaptive:
            due = playback_adaptive.is_due(source, ahead_ns, setup.period_samples)
        else:
            due = playback.is_due(source, ahead_ns, setup.period_samples)
        if due:
            listener.live_until_ns = max(listener.live_until_ns, ahead_ns + setup.hold_ns)
    target = 1.0 if listener.live_until_ns > ahead_ns else 0.0
    if target > 0.0 and not listener.sounding:
        if source.playout[0].last_sound_ns < 0:
            listener.gain = target  # its own beginning needs no ramp
        listener.sounding = 1
    if target > 0.0:
        listener.fallen_samples = 0
    elif listener.fallen_samples < setup.fall_samples:
        listener.fallen_samples += setup.period_samples
    elif listener.sounding:
        stop(source, listener)
    if not listener.sounding:
        return 0
    if listener.gain != target:
        factor = setup.attack if target < listener.gain else setup.release
        done = 0
        while done < setup.period_samples and listener.gain != target:
            listener.gain = next_gain(listener.gain, target, factor)
            done += 1
        # What reaches its level within this period is alone from its end on.
    listener.alone = int(listener.gain == 1.0 and target == 1.0)
    return 1


@inner_kernel("int64(Source, Listener, int64)")
def _look_at_source(source: Source, listener: Listener, now_ns: int) -> int:
    """Return FORGETS, BEYOND or WHOLE: what `SpeakerNode.handle_deadline` does with a source."""
    silent_ns = now_ns - listener.last_arrival_ns
    is_doubted = source.jitter[0].proven == 0 and now_ns - listener.resumed_ns > NS_PER_S
    if is_doubted and silent_ns < NS_PER_S:
        return BEYOND
    if silent_ns >= FORGET_NS and not listener.sounding:
        stop(source, listener)
        listener.live_until_ns = -1
        listener.phase = NOBODY
        return FORGETS
    return WHOLE


@inner_kernel("void(Source, Listener, Played[::1])")
def _move_journal(source: Source, listener: Listener, journal: Records[Played]) -> None:
    """Move what the source wrote into `journal`; its own begins anew."""
    for i in range(source.playout[0].journal_written):
        row = source.journal[i]
        copy = journal[listener.rows + i]
        copy.ssrc = row.ssrc
        copy.media = row.media
        copy.samples = row.samples
        copy.origin = row.origin
        copy.arrival_ns = row.arrival_ns
        copy.presentation_ns = row.presentation_ns
    listener.rows += source.playout[0].journal_written
    source.playout[0].journal_written = 0


@inner_kernel("int64(Source, Listener, float32[:, ::1], int64)")
def _play(source: Source, listener: Listener, room: NDArray[np.float32], at_ns: int) -> int:
    """Go on with one period that begins `at_ns`; return FORGETS, BEYOND or WHOLE.

    room  (FIFO_SAMPLES, 0) float32, full scale 1.0
    """
    setup = listener.setup[0]
    ahead_ns = at_ns + LATENCY_NS
    fate = _look_at_source(source, listener, at_ns - setup.lead_ns)
    if fate != WHOLE:
        return int(fate)
    sounds = 1
    is_sure = listener.alone and source.jitter[0].proven == 1
    if not is_sure or ahead_ns >= listener.confirmed_ns:
        sounds = _arbitrate(source, listener, setup, ahead_ns)
    if sounds and setup.adaptive:
        playback_adaptive.advance(source, room, room[: setup.period_samples], ahead_ns)
    elif sounds and not playback.count_on(source, ahead_ns, setup.period_samples):
        playback.advance(source, room, room, room[: setup.period_samples], ahead_ns)
    return WHOLE


@inner_kernel("int64(Hearing, int64[:, ::1], int64[:, ::1], int64)")
def _attend(hearing: Hearing, ways: NDArray[np.int64], sheet: NDArray[np.int64], at_ns: int) -> int:
    """Speak with the station before a period that begins `at_ns`; return WHOLE, or why not.

    ways   (3, n) int64, ns: see `sim.fleet.desk`
    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    listener = hearing.listener[0]
    now_ns = at_ns - listener.setup[0].lead_ns
    hears = listener.phase == SOURCE
    fate = talking.attend(hearing, ways, sheet, now_ns, hears)
    is_heard = hears and now_ns - hearing.talk[0].heard_ns < FORGET_NS
    if fate == talking.LEFT or (is_heard and now_ns - listener.last_arrival_ns >= FORGET_NS):
        return BEYOND  # whoever still answers is not forgotten
    return UNDRAWN if fate == talking.UNDRAWN else WHOLE


@kernel(
    "int64(Hearing[::1], int64[:, ::1], int64[:, ::1], float32[:, ::1], int64[:, ::1],"
    " int64[:, ::1], Played[::1])"
)
def listen(
    hearings: Records[Hearing],
    ways: NDArray[np.int64],
    sheet: NDArray[np.int64],
    room: NDArray[np.float32],
    arrivals: NDArray[np.int64],
    periods: NDArray[np.int64],
    journal: Records[Played],
) -> int:
    """Go on with the packets and periods of a chunk; return WHOLE, or why it waits for Python.

    ways      (3, n) int64, ns: see `sim.fleet.desk`
    sheet     (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    room      (FIFO_SAMPLES, 0) float32, full scale 1.0: the sound that nobody hears
    arrivals  (2, n) int64, ns and counts, in the order of their times
    periods   (6, m) int64, ns, flags and counts
    journal   (k,), the listener's `rows` of it are filled

    The listener says how far it is. After the last period what came behind it is taken too: it
    comes before the first one of the next chunk.
    """
    hearing = hearings[0]
    source = hearing.source[0]
    listener = hearing.listener[0]
    fate = WHOLE
    while listener.period <= listener.until:
        if listener.phase == SOURCE:
            _move_journal(source, listener, journal)
            go_on(hearing, sheet, arrivals, periods, journal, _JOURNAL_SPARE)
        before = listener.come
        if listener.period < listener.periods:
            before = periods[BEFORE, listener.period]
        if listener.period == listener.until < listener.periods:
            break  # what comes from here on finds the node down
        while listener.packet < before and fate == WHOLE:
            number, now_ns = arrivals[NUMBER, listener.packet], arrivals[AT, listener.packet]
            fate = _take(hearing, sheet, number, now_ns)
            listener.packet += fate == WHOLE
        if listener.period == listener.until or fate != WHOLE:
            break
        if listener.phase == SOURCE and journal.shape[0] - listener.rows < _JOURNAL_SPARE:
            fate = FULL
            break
        if listener.setup[0].speaks:
            fate = _attend(hearing, ways, sheet, periods[PRESENTATION, listener.period])
            if fate != WHOLE:
                break
        if listener.phase == SOURCE:
            fate = _play(source, listener, room, periods[PRESENTATION, listener.period])
            if fate != WHOLE:
                break
        listener.period += 1
    if listener.phase == SOURCE or fate == FORGETS:
        _move_journal(source, listener, journal)
    return int(fate)
