"""What a genuine warning is owed at a pole: it is taken, sounds whole, and after a power cut anew.

A node that refuses what its authority ordered, in the best of words, warns nobody. Each word of a
refusal is believed where the history has what it says, and nowhere else.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final

from node.control.trust.fates import CANCELS
from node.units import NS_PER_S
from sim.swarm.facts import Facts, Warned
from sim.swarm.history import Came, PoleHistory
from sim.swarm.tones import AMPLITUDE
from sim.swarm.village import ONCE_S, PAUSE_S, TIMES

Found = Iterator[tuple[int, str]]

AGAIN_NS: Final = 3 * NS_PER_S
"""From the begin of a daemon to the sound of what the power had cut off."""

IN_TURN_NS: Final = AGAIN_NS + PAUSE_S * NS_PER_S
"""From the end of the last that was before it to its own sound."""

URGENT_DB: Final = -2.8
"""-1.8 dB are the volume of 90 that urgent ones have at least (docs/orders.md), and 1 dB more."""

PRIORITY_DB: Final = -14.5
"""-4.5 dB are the volume of 75; limits of noise take some, and at most 10 dB here."""

_SECOND_NS: Final = NS_PER_S
"""Nodes count time in whole seconds."""

_WHOLE_NS: Final = TIMES * ONCE_S * NS_PER_S
_WHILE_NS: Final = _WHOLE_NS + (TIMES - 1) * PAUSE_S * NS_PER_S + AGAIN_NS
"""In so long a warning sounds whole, each time that it is said."""


def taken(facts: Facts, pole: PoleHistory) -> Found:
    """A genuine warning that comes is taken, unless what its refusal says is so."""
    for warning in facts.warnings:
        met = [one for one in pole.came if one.data == warning.given.data]
        if not met or any(one.fate == "waiting" for one in met):
            continue
        first = met[0]
        so = CAUSES.get(first.fate.partition(":")[0])
        if so is None or not so(facts, pole, warning, first):
            yield first.at_ns, f"{warning} is refused, and it is not so: {first.fate}"


def cancels_taken(facts: Facts, pole: PoleHistory) -> Found:
    """A genuine cancel that comes ends what it is about, unless what its refusal says is so."""
    for given in facts.given:
        met = [one for one in pole.came if one.data == given.data]
        if given.step.do != "cancel" or not met or any(one.fate in CANCELS for one in met):
            continue
        first = met[0]
        so = CAUSES.get(first.fate.partition(":")[0])
        if so in (None, _over, _ended_before) or not so(facts, pole, Warned(given, (0, 0)), first):
            yield first.at_ns, f"cancel {given.step.number} is refused: {first.fate}"


def sounds_anew(facts: Facts, pole: PoleHistory) -> Found:
    """An urgent warning that was kept, and is in force and not over, sounds after a boot."""
    for warning in facts.warnings:
        came_ns, step = warning.came_ns, warning.given.step
        if came_ns is None or step.priority or warning.fate != "waiting":
            continue
        over_ns = warning.given.at_ns + step.lasts_s * NS_PER_S
        for on_ns, off_ns in pole.on:
            limit_ns = on_ns + AGAIN_NS
            if on_ns <= came_ns or limit_ns + _SECOND_NS > min(over_ns, off_ns):
                continue
            told = any(one.at_ns < on_ns for one, _ in warning.emitted)
            if told or not facts.kept(came_ns) or not facts.may_sound(warning, on_ns, limit_ns):
                continue
            first_ns = pole.ear.first_ns(warning.tones, on_ns)
            if first_ns is None or first_ns > limit_ns:
                yield on_ns, f"{warning} was cut off by the power, and does not sound after it"


def sounds_whole(facts: Facts, pole: PoleHistory) -> Found:
    """A warning that nothing hinders sounds as often as it is to be said, to its end."""
    for warning in facts.warnings:
        came_ns, step = warning.came_ns, warning.given.step
        if came_ns is None or warning.fate != "waiting" or not _never_waits(facts, warning):
            continue
        until_ns = came_ns + _WHILE_NS
        over_ns = warning.given.at_ns + step.lasts_s * NS_PER_S
        if until_ns > min(over_ns, facts.end_ns):
            continue
        heard_ns = pole.ear.heard_ns(warning.tones, until_ns)
        short = heard_ns < _WHOLE_NS - TIMES * _SECOND_NS
        if short and facts.may_sound(warning, came_ns, until_ns):
            yield came_ns, f"{warning} came, and was heard for {heard_ns / NS_PER_S:.1f} s only"


def sounds_in_turn(facts: Facts, pole: PoleHistory) -> Found:
    """A warning that waits for others of its standing, or a higher one, is heard after them."""
    for warning in facts.warnings:
        came_ns, step = warning.came_ns, warning.given.step
        if came_ns is None or warning.fate != "waiting" or not _never_waits(facts, warning):
            continue
        if not facts.kept(came_ns):
            continue  # it went with the power, and its time to live may be over
        over_ns = min(warning.given.at_ns + step.lasts_s * NS_PER_S, facts.end_ns)
        for ended_ns in sorted(facts.ends_of_others(warning)):
            free_ns = ended_ns + _SECOND_NS + 1  # until then that one counts as under way
            limit_ns = ended_ns + IN_TURN_NS
            if free_ns < came_ns or limit_ns + _SECOND_NS > over_ns:
                continue
            if facts.may_sound(warning, free_ns, limit_ns):
                first_ns = pole.ear.first_ns(warning.tones, came_ns)
                if first_ns is None or first_ns > limit_ns:
                    yield free_ns, f"{warning} waited for others, and is not heard after them"
                break


def as_loud(facts: Facts, pole: PoleHistory) -> Found:
    """A warning is as loud as the volume of its class."""
    for warning in facts.warnings:
        if warning.given.step.priority and not facts.by_day:
            continue  # by night limits of noise leave little of it
        least_db = PRIORITY_DB if warning.given.step.priority else URGENT_DB
        level = pole.ear.level(warning.tones)
        long = pole.ear.heard_ns(warning.tones, facts.end_ns) > _SECOND_NS
        if long and level < AMPLITUDE * 10 ** (least_db / 20):
            said_db = 20 * math.log10(level / AMPLITUDE)
            yield facts.end_ns, f"{warning} is heard, {-said_db:.1f} dB below its recording"


def _never_waits(facts: Facts, warning: Warned) -> bool:
    """Return whether no hour, mute or doubt about the time can keep a warning back."""
    step = warning.given.step
    free = facts.by_day and facts.clock_is_right and not facts.muted_for(step.by)
    return free or not step.priority


def _over(facts: Facts, pole: PoleHistory, warning: Warned, came: Came) -> bool:
    lasts_ns = warning.given.step.lasts_s * NS_PER_S
    return _late(facts, warning.given.at_ns + lasts_ns, came)


def _void(facts: Facts, pole: PoleHistory, warning: Warned, came: Came) -> bool:
    return _late(facts, warning.given.at_ns + warning.given.step.ttl_s * NS_PER_S, came)


def _late(facts: Facts, end_ns: int, came: Came) -> bool:
    return came.at_ns + _SECOND_NS >= end_ns or _clock_doubted(facts, came)


def _clock_doubted(facts: Facts, came: Came) -> bool:
    since_ns = facts.doubts_since_ns
    return since_ns is not None and since_ns <= came.at_ns


def _timeless(facts: Facts, pole: PoleHistory, warning: Warned, came: Came) -> bool:
    return warning.given.step.priority and _clock_doubted(facts, came)


def _keyless(facts: Facts, pole: PoleHistory, warning: Warned, came: Came) -> bool:
    """Return whether its key was revoked here, or its certificate may never have come."""
    by = warning.given.step.by
    return facts.forgot or any(
        one.at_ns <= came.at_ns and one.data == given.data and one.fate == "obeyed"
        for given in facts.given
        if given.step.do == "revoke" and given.step.by == by
        for one in pole.came
    )


def _ended_before(facts: Facts, pole: PoleHistory, warning: Warned, came: Came) -> bool:
    """Return whether a cancel about it came first."""
    return any(
        one.at_ns <= came.at_ns and one.data == given.data
        for given in facts.given
        if given.step.do == "cancel" and given.step.about == warning.given.step.number
        for one in pole.came
    )


CAUSES: Final[dict[str, Callable[[Facts, PoleHistory, Warned, Came], bool]]] = {
    "expired": _over,
    "its time to live is over": _void,
    "not urgent while the time is not known": _timeless,
    "unknown key": _keyless,
    "revoked": _keyless,
    "known": _ended_before,
}
"""What a node says that refuses a genuine warning, and whether the history has it."""
