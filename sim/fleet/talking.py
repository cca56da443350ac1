"""What a node of tier T3 says to the station, and what it makes of the answers, as kernels.

```
period ─► what has come ─► is something due? ─► ask for the time ─► ask for what is lost ─► station
              └ time: exchange, reports, map          └ a question, upon its credit
              └ again: jitter buffer
```
It is `VirtualShell`, `SpeakerNode`, `Receiver` and `NodeReports` for a node that hears one station,
on the node's own exchange, reports, time base and jitter buffer: a test holds every count to
theirs.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock import media_map
from node.clock.exchange import asked
from node.clock.exchange.replies import is_congested, local_ns
from node.clock.line import finish_slews, position_q16
from node.clock.state import Line
from node.clock.timebase import leave_map, receive_map
from node.jitter import state as js
from node.jitter.kernel import admit
from node.jitter.repair import next_request_ns, requests
from node.kernel import inlined, inner_kernel
from node.kernel.conversions import ns_to_samples, samples_to_ns
from node.peers.credit import ADVANCE_BYTES, ADVANCE_BYTES_PER_S, HEADERS_BYTES
from node.peers.sender import SETTLE_NS
from node.source.receiver import FORGET_NS, JITTERS, SPELL_NS
from node.source.repairs import DECODED_AHEAD_NS, LOOK_NS
from node.source.state import Source
from node.units import NS_PER_S
from sim.fleet.answering import drop_first, send_again, tell_time
from sim.fleet.state import (
    NOT_AGAIN,
    QUESTIONS,
    REQUESTS,
    Hearing,
    Listener,
    Setup,
    Station,
    Talk,
)
from sim.gateway.crystal import minute_of, read_ns
from sim.station.conversation import HELD_NS
from sim.station.programme import SENDER_CLOCK_NS

FOLLOWED: Final = 0
UNDRAWN: Final = 1
"""Draws are used up: make more, and go on."""
LEFT: Final = 2
"""Something that only T2 can follow."""

_HELD_TOLD_NS: Final = (
    (((HELD_NS << 16) + NS_PER_S // 2) // NS_PER_S) * NS_PER_S + (1 << 15)
) >> 16
"""How long the station had a question, as an answer says it."""
_QUESTION_MAX_MORE: Final = 3
"""A name is filled up to four bytes."""


@inlined
def _middle(time_ns: int) -> int:
    """Return a time in 1/65536 s, as reports tell it; of 32 bits that is."""
    seconds = time_ns // NS_PER_S
    return (seconds << 16) + ((time_ns - seconds * NS_PER_S) << 16) // NS_PER_S


@inner_kernel("void(Source, Talk, int64, int64, int64)")
def _take_reply(source: Source, talk: Talk, asked_ns: int, told_ns: int, now_ns: int) -> None:
    """Give the exchange an answer, as `NodeReports` does.

    told_ns  what the sender's clock showed as the answer left
    """
    asking = talk.asking[0]
    line = source.line[0]
    asking.sounds = 0
    if talk.reported[0].count > 0 and line.packets > 0 and asked.wants_sound(asking, now_ns):
        media_map.transits(talk.reported[0], line, asking.sound[:])
        asking.sounds = line.blocks + 1
    near = _middle(now_ns)
    away = ((_middle(asked_ns) & 0xFFFF_FFFF) - (near & 0xFFFF_FFFF) + (1 << 31)) % (1 << 32)
    middle = near + away - (1 << 31)
    seconds = middle >> 16
    request_ns = seconds * NS_PER_S + (((middle & 0xFFFF) * NS_PER_S + (1 << 15)) >> 16)
    asked.receive_reply(asking, talk.fitting[0], request_ns, _HELD_TOLD_NS, told_ns, now_ns)


@inner_kernel("void(Line, Talk, int64, boolean)")
def _give_map(line: Line, talk: Talk, now_ns: int, is_hushed: bool) -> None:
    """Hand the map on, unless the sender's clock was just set: `NodeReports` does the same."""
    asking = talk.asking[0]
    reported = talk.reported[0]
    replies_min = 1 if is_hushed else asked.READY_REPLIES
    uncertainty_ns = asked.uncertainty_ns(asking, now_ns, replies_min)
    is_moved = reported.restarts != talk.restarts_seen
    if asking.steps != talk.steps_seen or (is_moved and asking.suspects > 0):
        talk.unsettled_until_ns = now_ns + SETTLE_NS
        media_map.clear(reported)
    talk.steps_seen = asking.steps
    talk.restarts_seen = reported.restarts
    if media_map.is_unsteady(reported):
        leave_map(line)
        return
    if uncertainty_ns < 0 or reported.count == 0 or now_ns < talk.unsettled_until_ns:
        return
    replies = asking.replies[0]
    if is_congested(replies):
        return  # the arrivals know better
    newest = reported.count - 1
    captured_ns = local_ns(replies, reported.kept[0, newest] + reported.lag_ns)
    skew_ppm = 1e6 * replies.slope + reported.slope * 1e6
    receive_map(line, reported.kept[1, newest], captured_ns, skew_ppm, float(uncertainty_ns))


@inner_kernel("void(Source, Listener, Talk, Station, int64[:, ::1])")
def _receive(
    source: Source,
    listener: Listener,
    talk: Talk,
    station: Station,
    sheet: NDArray[np.int64],
) -> None:
    """Take the next answer.

    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    answer = talk.answers[0]
    setup = listener.setup[0]
    now_ns = answer.at_ns
    if now_ns - listener.last_arrival_ns > SPELL_NS:
        listener.resumed_ns = now_ns
    if answer.again != NOT_AGAIN:
        talk.again += 1
        packet = source.packet[0]
        at = answer.again % sheet.shape[1]
        packet.offset = 0
        packet.length = sheet[1, at]
        packet.sequence = (setup.first_sequence + answer.again) & 0xFFFF
        stamp = setup.first_timestamp + answer.again * setup.packet_samples
        packet.timestamp = stamp & 0xFFFF_FFFF
        packet.samples = setup.packet_samples
        packet.marks = sheet[0, at] | js.RETRANSMITTED
        packet.arrival_ns = now_ns
        slots = source.slots[: source.slot_count]
        admit(source.jitter[0], source.steering[0], slots, packet)
        return
    talk.told += 1
    told_ns = answer.left_ns + SENDER_CLOCK_NS
    state = source.jitter[0]
    if setup.may_ask:
        talk.asks = 1
    is_hushed = source.playout[0].running == 0 or state.concealed_run > 0
    # Which media time the answer is of, by the 32 bits of its stamp that is near the newest one.
    stamp = setup.first_timestamp + ns_to_samples(answer.left_ns - station.begun_ns)
    away = ((stamp & 0xFFFF_FFFF) - state.highest_media + (1 << 31)) % (1 << 32) - (1 << 31)
    media_map.receive_report(talk.reported[0], talk.scratch[:], told_ns, state.highest_media + away)
    talk.heard_ns = now_ns
    _take_reply(source, talk, answer.asked_ns, told_ns, now_ns)
    asked.ask_by(talk.asking[0], now_ns + media_map.settled_in_ns(talk.reported[0]))
    _give_map(source.line[0], talk, now_ns, is_hushed)
    state.level_max = setup.level_max
    if source.playout[0].running == 0:
        finish_slews(source.line[0], now_ns)
    talk.credit_bytes += setup.answer_bytes


@inner_kernel("int64(Source, Setup, int64, int64)")
def _requests(source: Source, setup: Setup, uncertainty_ns: int, now_ns: int) -> int:
    """Find what is to be asked for again, as `Receiver.request_repair` does; return how much."""
    state = source.jitter[0]
    if setup.adaptive:
        ahead = source.playout[0].filled - source.stretching[0].begin
        position = state.next_media - ahead
    else:
        position = position_q16(source.line[0], now_ns) >> 16
    round_trip_ns = 2 * uncertainty_ns + JITTERS * samples_to_ns(state.jitter_q4 >> 4)
    plays_ns = now_ns + samples_to_ns(state.next_media - position) - DECODED_AHEAD_NS
    slots = source.slots[: source.slot_count]
    return int(requests(source.repair[0], state, slots, now_ns, plays_ns, round_trip_ns))


@inlined
def _left_bytes(talk: Talk, now_ns: int) -> int:
    """Return what is left of the advance."""
    grown = max(now_ns - talk.advance_ns, 0) * ADVANCE_BYTES_PER_S // NS_PER_S
    return min(talk.advance_bytes + grown, ADVANCE_BYTES)


@inner_kernel("boolean(Talk, Setup, int64)")
def _covers(talk: Talk, setup: Setup, now_ns: int) -> bool:
    """Return whether a question may be sent: `Credit.covers`."""
    missing = setup.question_bytes + _QUESTION_MAX_MORE + HEADERS_BYTES - talk.credit_bytes
    if missing <= 0 or talk.asking[0].answered > 0:
        return True
    return bool(_left_bytes(talk, now_ns) >= missing)


@inner_kernel("void(Talk, Setup, int64)")
def _pay(talk: Talk, setup: Setup, now_ns: int) -> None:
    """Count a question that is sent: `Credit.pay`."""
    if talk.asking[0].answered > 0:
        return
    talk.credit_bytes -= setup.question_bytes + HEADERS_BYTES
    if talk.credit_bytes < 0:
        talk.advance_bytes = _left_bytes(talk, now_ns) + talk.credit_bytes
        talk.advance_ns = now_ns
        talk.credit_bytes = 0


@inner_kernel("int64(Hearing, int64[:, ::1], int64[:, ::1], int64)")
def _ask(hearing: Hearing, ways: NDArray[np.int64], sheet: NDArray[np.int64], now_ns: int) -> int:
    """Ask what is to be asked now, as `SpeakerNode.handle_deadline` does; see `attend`.

    ways   (3, n) int64, ns: see `sim.fleet.desk`
    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    talk = hearing.talk[0]
    station = hearing.station[0]
    source = hearing.source[0]
    setup = hearing.listener[0].setup[0]
    if station.question == QUESTIONS or station.request == REQUESTS:
        return UNDRAWN
    if not _covers(talk, setup, now_ns):
        return LEFT
    clock = talk.clock[0]
    talk.minute = minute_of(clock, now_ns, talk.minute)
    true_ns = read_ns(clock, talk.minute, now_ns)
    if asked.ask(talk.asking[0], now_ns):
        _pay(talk, setup, now_ns)
        if not tell_time(station, talk, ways, now_ns, true_ns):
            return LEFT
    uncertainty_ns = -1
    if talk.asks != 0:
        uncertainty_ns = asked.uncertainty_ns(talk.asking[0], now_ns, asked.READY_REPLIES)
    if uncertainty_ns < 0:
        source.repair[0].not_before_ns = now_ns + LOOK_NS
        return FOLLOWED
    count = _requests(source, setup, uncertainty_ns, now_ns)
    if count == 0:
        return FOLLOWED
    names = source.repair[0].request[:count]
    return FOLLOWED if send_again(station, talk, ways, sheet, names, true_ns) else LEFT


@inner_kernel("int64(Hearing, int64[:, ::1], int64[:, ::1], int64, int64)")
def attend(
    hearing: Hearing,
    ways: NDArray[np.int64],
    sheet: NDArray[np.int64],
    now_ns: int,
    hears: int,
) -> int:
    """Do what is due before a period, as the shell does; return FOLLOWED, UNDRAWN or LEFT.

    ways    (3, n) int64, ns: see `sim.fleet.desk`
    sheet   (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    now_ns  when the period is asked for
    hears   1: there is a source
    """
    talk = hearing.talk[0]
    if talk.waiting > 0 and talk.answers[0].at_ns <= now_ns and hears == 0:
        return LEFT  # a word of a stranger
    if hears == 0:
        return FOLLOWED
    source = hearing.source[0]
    listener = hearing.listener[0]
    while talk.waiting > 0 and talk.answers[0].at_ns <= now_ns:
        _receive(source, listener, talk, hearing.station[0], sheet)
        drop_first(talk)
    due_ns = min(talk.asking[0].next_ns, listener.last_arrival_ns + FORGET_NS)
    is_due = due_ns <= now_ns
    if not is_due and talk.asks != 0:
        again_ns = next_request_ns(source.repair[0], source.jitter[0])
        is_due = again_ns != js.NONE and again_ns <= now_ns
    return int(_ask(hearing, ways, sheet, now_ns)) if is_due else FOLLOWED


@inner_kernel("void(Talk, int64)")
def begin(talk: Talk, start_ns: int) -> None:
    """Know nothing of a source whose first packet came at `start_ns`."""
    asked.begin(talk.asking[0], start_ns)
    media_map.begin(talk.reported[0])
    talk.credit_bytes = 0
    talk.asks = 0
    talk.heard_ns = 0
    talk.steps_seen = 0
    talk.restarts_seen = 0
    talk.unsettled_until_ns = 0
