"""What holds in every history, however it goes; each rule names who broke it, when and how.

Nothing here asks the node what it believes: what sounded was heard at the horn, what was ordered
is known from the station, what was reported is what reached it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.control.proof.proof import verify_chain
from node.control.trust.fates import CANCELS
from node.units import NS_PER_MS, NS_PER_S
from sim.swarm.facts import Facts
from sim.swarm.history import History, PoleHistory, Told
from sim.swarm.owed import (
    as_loud,
    cancels_taken,
    sounds_anew,
    sounds_in_turn,
    sounds_whole,
    taken,
)
from sim.swarm.programmes import Found, live_authorised, live_heard, live_recorded
from sim.swarm.tones import LIVE_TONES
from sim.swarm.village import ITEM, ITEM_AT_S, ITEM_TONE, ONCE_S

URGENT_NS: Final = NS_PER_S
"""From the arrival of an urgent warning to its first sound."""

REPORT_NS: Final = 10 * NS_PER_S
"""From an event to its report at the station, while the pole can be reached."""

_LEAD_NS: Final = 500 * NS_PER_MS
"""What is in the card, and the ramp down, still sounds after the node has ended something."""

_ONSET_NS: Final = 100 * NS_PER_MS
"""What the ramps of other tones are taken for just before a tone begins."""

_HAND_OVER_NS: Final = 200 * NS_PER_MS
"""An item that has the horn back sounds so much later: both ramps, and what is in the card."""

_OUTAGE_S: Final = 30
"""Weak links fail by themselves: a node that was there so shortly before the end comes back."""

_SLACK_NS: Final = NS_PER_S
_BOTH_NS: Final = 300 * NS_PER_MS
"""Ramps of two sources overlap for less than this."""

PEAK: Final = 0.8913
"""-1 dBFS, as the nodes are configured."""

_ACTS: Final = CANCELS | {"obeyed", "waiting"}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that did not hold."""

    rule: str
    pole: str
    at_ns: int
    text: str

    def said(self) -> str:
        """Return it as a line."""
        return f"{self.rule}: {self.pole} at {self.at_ns / NS_PER_S:.3f} s: {self.text}"


def broken(history: History) -> list[Broken]:
    """Return all that broke a rule, the earliest first."""
    if history.crash:
        return [Broken("no daemon ends by a mistake of its own", "", 0, history.crash)]
    found = []
    for name, pole in history.poles.items():
        facts = Facts(history, pole)
        for rule, look in RULES.items():
            found += [Broken(rule, name, at_ns, text) for at_ns, text in look(facts, pole)]
    return sorted(found, key=lambda one: one.at_ns)


def _authorised(facts: Facts, pole: PoleHistory) -> Found:
    """Every tone belongs to what an authority has ordered, here, and still orders."""
    yield from live_authorised(facts, pole)
    for one in pole.ear.heard:
        if one.tone == ITEM_TONE:
            yield from _item_sounds(facts, one.start_ns, one.end_ns)
            continue
        if one.tone in LIVE_TONES:
            continue
        warning = facts.of_tone(one.tone)
        if warning is None or warning.came_ns is None or one.start_ns < warning.came_ns - _ONSET_NS:
            yield one.start_ns, f"tone {one.tone} sounds, and nobody has ordered it"
        elif warning.ended_ns is not None and one.end_ns > warning.ended_ns + _LEAD_NS:
            late_s = (one.end_ns - warning.ended_ns) / NS_PER_S
            yield one.end_ns, f"{warning} sounds {late_s:.2f} s after its end"


def _item_sounds(facts: Facts, start_ns: int, end_ns: int) -> Found:
    if facts.clock_is_right:
        due_ns = ITEM_AT_S * NS_PER_S
        if start_ns < due_ns - _LEAD_NS:
            yield start_ns, "the item of the calendar sounds before its time"
    for since_ns, until_ns in facts.muted:
        if start_ns < until_ns and end_ns > since_ns + _LEAD_NS:
            yield max(start_ns, since_ns), "the item of the calendar sounds while it is muted"


def _once(facts: Facts, pole: PoleHistory) -> Found:
    """An order acts once at a node: the station hears no second answer that says so."""
    acted: dict[tuple[str, int], bytes] = {}
    for told in pole.reported:
        answer = told.answer
        if answer is None or answer.fate not in _ACTS:
            continue
        key = (answer.issuer, answer.counter)
        if acted.setdefault(key, told.payload) != told.payload:
            yield told.at_ns, f"order {answer.counter} is {answer.fate} a second time"


def _nothing_lost(facts: Facts, pole: PoleHistory) -> Found:
    """What a node has acknowledged to the broker it has answered, and a warning has a record."""
    answered = {
        (answer.issuer, answer.counter): answer.fate
        for told in pole.reported
        if (answer := told.answer) is not None
    }
    for given in facts.given:
        if given.data not in pole.taken or facts.not_kept(given):
            continue
        if given.key not in answered:
            yield given.at_ns, f"{given.step.do} {given.step.number}: acknowledged, and no answer"
    for warning in facts.warnings:
        if answered.get(warning.given.key) == "waiting" and not warning.records:
            yield facts.end_ns, f"{warning} was to sound, and no record says what became of it"


def _never_as_success(facts: Facts, pole: PoleHistory) -> Found:
    """What a record says was played was heard by then."""
    for warning in facts.warnings:
        for told, record in warning.emitted:
            if record.outcome != "played":
                continue
            heard_ns = pole.ear.heard_ns(warning.tones, told.at_ns + _LEAD_NS)
            said_ns = sum(part.heard_ms for part in record.parts) * NS_PER_MS
            least_ns = max(said_ns, ONCE_S * NS_PER_S) - _SLACK_NS
            if heard_ns < least_ns:
                yield (
                    told.at_ns,
                    f"{warning}: said to be played for {least_ns / NS_PER_S:.1f} s, heard for "
                    f"{heard_ns / NS_PER_S:.1f} s",
                )
    for told in pole.emitted:
        item = told.record
        if item is not None and item.name == ITEM and item.outcome == "played":
            heard_ns = pole.ear.heard_ns((ITEM_TONE,), told.at_ns + _LEAD_NS)
            said_ns = sum(part.heard_ms for part in item.parts) * NS_PER_MS
            stretches = sum(one.tone == ITEM_TONE for one in pole.ear.heard)
            if heard_ns < said_ns - _SLACK_NS - (stretches - 1) * _HAND_OVER_NS:
                yield told.at_ns, f"the item: {said_ns / NS_PER_S:.1f} s said to be heard"


def _in_time(facts: Facts, pole: PoleHistory) -> Found:
    """What a node tells reaches the station within 10 s in which the pole can be reached."""
    reached: dict[bytes, int] = {}
    for told in pole.reported:
        reached.setdefault(told.payload, told.at_ns)
    for told in pole.emitted:
        if told.topic not in ("proof", "acknowledgement") or not facts.kept(told.at_ns):
            continue
        limit_ns = facts.reachable_until(told.at_ns, REPORT_NS)
        there_ns = reached.get(told.payload)
        if limit_ns is not None and (there_ns is None or there_ns > limit_ns):
            late = (
                "never" if there_ns is None else f"after {(there_ns - told.at_ns) / NS_PER_S:.1f} s"
            )
            yield told.at_ns, f"{_what(told)}: told the station {late}"


def _what(told: Told) -> str:
    record, answer = told.record, told.answer
    if record is not None:
        return f"record of {record.name} ({record.outcome})"
    return "answer" if answer is None else f"answer to {answer.counter} ({answer.fate})"


def _urgent(facts: Facts, pole: PoleHistory) -> Found:
    """An urgent warning is heard within a second of its arrival, unless its like has the horn."""
    for warning in facts.warnings:
        came_ns = warning.came_ns
        if came_ns is None or warning.fate != "waiting" or warning.given.step.priority:
            continue
        limit_ns = came_ns + URGENT_NS
        if not facts.may_sound(warning, came_ns, limit_ns):
            continue
        first_ns = pole.ear.first_ns(warning.tones, came_ns)
        if first_ns is None or first_ns > limit_ns:
            after = (
                "never" if first_ns is None else f"{(first_ns - came_ns) / NS_PER_S:.2f} s later"
            )
            yield came_ns, f"{warning} came, and was heard {after}"


def _one_source(facts: Facts, pole: PoleHistory) -> Found:
    """Never two sources at once, but by DUCK, which is not configured here."""
    for one in pole.ear.both:
        if one.length_ns > _BOTH_NS:
            yield one.start_ns, f"two tones at once for {one.length_ns / NS_PER_S:.2f} s"


def _limit(facts: Facts, pole: PoleHistory) -> Found:
    """Nothing leaves the node above the limit."""
    if pole.ear.peak > PEAK:
        yield facts.end_ns, f"a sample of {pole.ear.peak:.4f}"


def _in_step(facts: Facts, pole: PoleHistory) -> Found:
    """After all is healed the node is there, well, and has nothing left to tell."""
    end = facts.at_end
    if end is None or facts.off_for_good:
        return
    if not end.on:
        yield facts.end_ns, "the daemon does not run"
    elif not end.connected:
        if facts.left_s() > _OUTAGE_S:
            yield facts.end_ns, "not connected"
    elif b'"ready"' not in end.state:
        yield facts.end_ns, f"its state at the broker: {end.state.decode()}"
    elif end.behind:
        yield facts.end_ns, "something still waits for the disk"
    for given in facts.owed:
        yield given.at_ns, f"{given.step.do} {given.step.number} never came to it"


def _chain(facts: Facts, pole: PoleHistory) -> Found:
    """The proof that the station has is one chain."""
    lines: dict[bytes, None] = {}
    for told in pole.reported:
        if told.topic == "proof":
            lines.setdefault(told.payload)
    if lines and not facts.forgot:
        fault = verify_chain(lines)
        if fault is not None:
            yield facts.end_ns, f"the proof of play: {fault}"


RULES: Final[dict[str, Callable[[Facts, PoleHistory], Found]]] = {
    "nothing sounds that nobody orders": _authorised,
    "an order acts once": _once,
    "nothing acknowledged is lost": _nothing_lost,
    "nothing is reported as played that was not": _never_as_success,
    "reports come within 10 s": _in_time,
    "urgent within 1 s of its arrival": _urgent,
    "a genuine warning is taken": taken,
    "a genuine cancel is taken": cancels_taken,
    "a warning sounds whole": sounds_whole,
    "what the power cut off sounds anew": sounds_anew,
    "what waits for its like sounds after it": sounds_in_turn,
    "a warning is as loud as its volume": as_loud,
    "a live programme whose packets come is heard": live_heard,
    "the record of a live programme tells what sounded": live_recorded,
    "never two sources at once": _one_source,
    "nothing above the limit": _limit,
    "in step after healing": _in_step,
    "one chain of proof": _chain,
}
