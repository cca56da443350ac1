"""What is true of a live programme at one pole, and what must hold of it.

A packet is good when it comes in time for the common playout delay: by such ones a node sounds
within 2 s, whatever numbers and stamps they bear (docs/node.md). Of packets that come, all too late
for that, by a way that also spreads them, a node makes sound after 10 s and no sooner, and this is
no mistake (`node.clock.lateness`: what a weak mobile link does for seconds must not take a horn out
of step with its neighbours).

```
 came, good or late ──► half seconds with half of their packets ──► stretches ─┐
 announced, on, card, nobody else has the horn, not muted ─────────────────────┴─► holes in the tone
```
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from node.config import JitterConfig
from node.control.calendar.play_state import Record
from node.units import NS_PER_MS, NS_PER_S
from sim.swarm.desk import Given
from sim.swarm.facts import Facts
from sim.swarm.history import PoleHistory, Span, Told
from sim.swarm.studio import PACKET_NS, ssrc_of
from sim.swarm.village import live_tone, ns_of

Found = Iterator[tuple[int, str]]

GOOD_NS: Final = 2 * NS_PER_S
"""A node that receives good packets sounds again within so long, whatever they bear."""

LATE_NS: Final = 10 * NS_PER_S + GOOD_NS
"""... and by packets that are all late (`node.clock.lateness`)."""

_CARD_NS: Final = 300 * NS_PER_MS
"""From the node to the ear: the card's periods, and the ramp up."""

_BIN_NS: Final = NS_PER_S // 2
_ROOM_NS: Final = 60 * NS_PER_MS
"""A packet that comes so shortly before its time may be late for the card."""

_LEAD_NS: Final = 500 * NS_PER_MS
_ONSET_NS: Final = 100 * NS_PER_MS
_SLACK_NS: Final = NS_PER_S
_RAMP_NS: Final = 300 * NS_PER_MS
"""What a record may count of each stretch beside its sound: ramps, and what is in the card."""


def live_authorised(facts: Facts, pole: PoleHistory) -> Found:
    """A live programme sounds while it is announced, and not muted."""
    for given in facts.live:
        spans = announced(given, pole, facts)
        for one in pole.ear.heard:
            if one.tone != live_tone(given.step.number):
                continue
            if not any(
                start - _ONSET_NS <= one.start_ns and one.end_ns <= end + _LEAD_NS
                for start, end in spans
            ):
                yield one.start_ns, f"live {given.step.number} sounds, and is not announced"
            for since_ns, until_ns in facts.muted_for(given.step.by):
                if one.start_ns < until_ns and one.end_ns > since_ns + _LEAD_NS:
                    yield since_ns, f"live {given.step.number} sounds while it is muted"


def live_heard(facts: Facts, pole: PoleHistory) -> Found:
    """A live programme of which packets come is heard, again and again."""
    for given in facts.live:
        free = _without(_surely(announced(given, pole, facts), given), _taken(facts, pole, given))
        for limit_ns, stretches, what in (
            (GOOD_NS, _stretches(pole, given, good=True), "good packets come"),
            (LATE_NS, _stretches(pole, given, good=False), "packets come"),
        ):
            for start, end in _meet(free, stretches):
                hole = _longest_hole(pole, live_tone(given.step.number), start, end)
                if hole[1] - hole[0] > limit_ns + _CARD_NS:
                    silent_s = (hole[1] - hole[0]) / NS_PER_S
                    said = (
                        f"live {given.step.number}: {what}, and it is silent for {silent_s:.1f} s"
                    )
                    yield hole[0], said
                    break


def live_recorded(facts: Facts, pole: PoleHistory) -> Found:
    """The record of a live programme tells how long it was heard, and there is one."""
    for given in facts.live:
        tone = live_tone(given.step.number)
        for start, end in announced(given, pole, facts):
            found = [(told, one) for told, one in _records(pole, given) if start <= told.at_ns]
            if not found:
                off_ns = min((off for on, off in pole.on if on <= start < off), default=start)
                if end + _LEAD_NS < min(off_ns, facts.end_ns):
                    yield end, f"live {given.step.number} is over, and nothing tells of it"
                continue
            told, record = found[0]
            heard = [
                one
                for one in pole.ear.heard
                if one.tone == tone and start <= one.start_ns < told.at_ns
            ]
            heard_ns = sum(one.length_ns for one in heard)
            beside_ns = _SLACK_NS + (len(heard) + 1) * _RAMP_NS
            off_ns = record.sounded_s * NS_PER_S - heard_ns
            if not -beside_ns <= off_ns <= beside_ns + record.concealed_ms * NS_PER_MS:
                yield (
                    told.at_ns,
                    f"live {given.step.number}: {record.sounded_s} s in its record, heard for "
                    f"{heard_ns / NS_PER_S:.1f} s",
                )


def announced(given: Given, pole: PoleHistory, facts: Facts) -> list[Span]:
    """Return from when to when a pole may play a live programme, at most.

    Its time to live counts from its arrival. A session does not outlive a restart.
    """
    found = []
    for came in pole.came:
        if came.data != given.data or came.fate != "obeyed":
            continue
        ends = [came.at_ns + given.step.ttl_s * NS_PER_S, facts.end_ns]
        ends += [off for on, off in pole.on if on <= came.at_ns < off]
        for other in facts.given:
            if other.step.do == "revoke" and other.step.by == given.step.by:
                ends += [
                    one.at_ns
                    for one in pole.came
                    if (one.data, one.fate) == (other.data, "obeyed") and one.at_ns >= came.at_ns
                ]
        found.append((came.at_ns, min(ends)))
    return found


def _records(pole: PoleHistory, given: Given) -> list[tuple[Told, Record]]:
    name = f"live {ssrc_of(given.step):08x}"
    return [
        (told, record)
        for told in pole.emitted
        if (record := told.record) is not None and record.name == name
    ]


def _surely(spans: Sequence[Span], given: Given) -> list[Span]:
    """Return when it is announced at least: its time to live may count from when it was given."""
    until_ns = given.at_ns + given.step.ttl_s * NS_PER_S
    return [(start, min(end, until_ns)) for start, end in spans if start < until_ns]


def _taken(facts: Facts, pole: PoleHistory, given: Given) -> list[Span]:
    """Return when something else may have the horn, or there is none."""
    own = live_tone(given.step.number)
    found = [(one.start_ns, one.end_ns) for one in pole.ear.heard if one.tone != own]
    for warning in facts.warnings:
        if warning.came_ns is not None:
            ends = [told.at_ns for told, _ in warning.emitted if told.at_ns >= warning.came_ns]
            found.append((warning.came_ns, max(ends, default=facts.end_ns)))
    found += facts.muted_for(given.step.by)
    if facts.doubts_since_ns is not None:  # who does not know the time plays nothing of its class
        found.append((facts.doubts_since_ns, facts.end_ns))
    found += [(ns_of(one.at_s), ns_of(one.end_s) + NS_PER_S) for one in facts.faults("card_gone")]
    return found


def _stretches(pole: PoleHistory, given: Given, *, good: bool) -> list[Span]:
    """Return the times in which each half second brings half of its packets."""
    limit_ns = JitterConfig().playout_delay_ms * NS_PER_MS - _ROOM_NS
    came_ns = [
        one.at_ns
        for one in pole.streamed
        if one.number == given.step.number
        and not one.repairs
        and (not good or one.at_ns - one.sent_ns <= limit_ns)
    ]
    counts = np.bincount(np.array(came_ns, np.int64) // _BIN_NS) if came_ns else np.zeros(0, int)
    found: list[Span] = []
    for i in np.flatnonzero(counts >= _BIN_NS // PACKET_NS // 2):
        start, end = int(i) * _BIN_NS, (int(i) + 1) * _BIN_NS
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _longest_hole(pole: PoleHistory, tone: int, start_ns: int, end_ns: int) -> Span:
    """Return the longest time in a span in which a tone is not heard."""
    longest, at_ns = (start_ns, start_ns), start_ns
    heard = sorted(
        (one.start_ns, one.end_ns)
        for one in pole.ear.heard
        if one.tone == tone and one.end_ns > start_ns and one.start_ns < end_ns
    )
    for start, end in [*heard, (end_ns, end_ns)]:
        if start - at_ns > longest[1] - longest[0]:
            longest = (at_ns, start)
        at_ns = max(at_ns, end)
    return longest


def _meet(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """Return the times that lie in both."""
    both = [(max(a[0], b[0]), min(a[1], b[1])) for a in one for b in other]
    return sorted(span for span in both if span[0] < span[1])


def _without(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """Return what is left of `spans` outside `holes`."""
    left = list(spans)
    for hole in holes:
        parts = [
            part
            for start, end in left
            for part in ((start, min(end, hole[0])), (max(start, hole[1]), end))
        ]
        left = [part for part in parts if part[0] < part[1]]
    return left
