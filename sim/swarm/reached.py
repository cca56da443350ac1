"""Situations that a campaign must have been in at least once: the rest was not tried."""

from collections.abc import Callable
from typing import Final

from node.control.proof.record_keeper import LATE
from node.units import NS_PER_S
from sim.swarm.ear import Heard
from sim.swarm.facts import Facts
from sim.swarm.history import History, PoleHistory
from sim.swarm.script import Step
from sim.swarm.tones import LIVE_TONES
from sim.swarm.village import ITEM_AT_S, ITEM_TONE, ns_of

_FAR_S: Final = 2.0

Look = Callable[[History, Facts, PoleHistory], bool]


def reached(history: History) -> set[str]:
    """Return the situations that some pole was in."""
    found = set()
    for pole in history.poles.values():
        facts = Facts(history, pole)
        found |= {name for name, look in SITUATIONS.items() if look(history, facts, pole)}
    return found


def _steps(history: History, pole: PoleHistory, kind: str) -> list[Step]:
    return [one for one in history.script.steps if one.do == kind and one.pole in ("", pole.name)]


def _sounds(pole: PoleHistory, at_s: float, *, item: bool = False) -> bool:
    """Return whether a warning (or the item) sounds at that time of the script."""
    at_ns = ns_of(at_s)
    return any(
        one.start_ns <= at_ns < one.end_ns
        and (one.tone == ITEM_TONE) == item
        and one.tone not in LIVE_TONES
        for one in pole.ear.heard
    )


def _in_sound(kind: str, *, item: bool = False) -> Look:
    def look(history: History, facts: Facts, pole: PoleHistory) -> bool:
        steps = _steps(history, pole, kind)
        return any(_sounds(pole, one.at_s, item=item) for one in steps)

    return look


def _in_live(kind: str) -> Look:
    def look(history: History, facts: Facts, pole: PoleHistory) -> bool:
        return any(
            heard.start_ns <= ns_of(one.at_s) < heard.end_ns
            for one in _steps(history, pole, kind)
            for heard in _live(pole)
        )

    return look


def _fate(*fates: str) -> Look:
    return lambda history, facts, pole: any(one.fate in fates for one in pole.came)


def _preempted(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """A warning takes the horn from the item, which goes on after it."""
    item = [one for one in pole.ear.heard if one.tone == ITEM_TONE]
    warned = [one for one in pole.ear.heard if one.tone not in (ITEM_TONE, *LIVE_TONES)]
    return len(item) > 1 and bool(warned)


def _full_at_preemption(history: History, facts: Facts, pole: PoleHistory) -> bool:
    return any(
        ns_of(one.at_s) <= warning.came_ns < ns_of(one.end_s)
        and _sounds(pole, warning.came_ns / NS_PER_S - 0.05, item=True)
        for one in _steps(history, pole, "disk_full")
        for warning in facts.warnings
        if warning.came_ns is not None and warning.fate == "waiting"
    )


def _over_midnight(history: History, facts: Facts, pole: PoleHistory) -> bool:
    midnight_s = 60.0 if history.script.begin == "23:59" else -1.0
    steps = _steps(history, pole, "broker_down")
    return any(one.at_s <= midnight_s < one.end_s for one in steps)


def _revoked_in_use(history: History, facts: Facts, pole: PoleHistory) -> bool:
    return any(
        warning.ended_ns is not None
        and any(
            one.tone in warning.tones and abs(one.end_ns - warning.ended_ns) < NS_PER_S
            for one in pole.ear.heard
        )
        for warning in facts.warnings
        if any(one.do == "revoke" and one.by == warning.given.step.by for one in _all(history))
    )


def _too_slow(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """A warning has the horn of a node that says of it that it was late for its card."""
    return any(record.reason == LATE for warning in facts.warnings for _, record in warning.emitted)


def _all(history: History) -> tuple[Step, ...]:
    return history.script.steps


def _cancelled_in_sound(history: History, facts: Facts, pole: PoleHistory) -> bool:
    return any(
        record.outcome == "cancelled" and record.sounded_s > 0
        for warning in facts.warnings
        for record in warning.records
    )


def _off_before_kept(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """The power goes between the arrival of an order and its being on the disk."""
    return any(
        not facts.kept(came.at_ns)
        and any(0 <= end - came.at_ns < 2 * NS_PER_S for _, end in pole.on)
        for came in pole.came
        if came.fate in ("waiting", "obeyed")
    )


def _again_after_boot(history: History, facts: Facts, pole: PoleHistory) -> bool:
    boots = [start for start, _ in pole.on[1:]]
    return any(
        one.tone not in (ITEM_TONE, *LIVE_TONES)
        and any(0 < one.start_ns - boot < 5 * NS_PER_S for boot in boots)
        for one in pole.ear.heard
    )


def _no_clock(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """A warning comes to a node that does not know the time."""
    clocked = next(one.clock for one in history.script.poles if one.name == pole.name)
    boots = [start for start, _ in pole.on[1:]]
    return not clocked and any(
        one.fate == "waiting" and any(0 < one.at_ns - boot < 25 * NS_PER_S for boot in boots)
        for one in pole.came
    )


def _half_open(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """An order is given while the link is half open, and comes after that."""
    return any(
        ns_of(one.at_s) <= given.at_ns < ns_of(one.at_s) + 15 * NS_PER_S
        and any(came.data == given.data for came in pole.came)
        for one in _steps(history, pole, "half_open")
        for given in facts.given
    )


def _above(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """A higher warning takes the horn from a lower one, which goes on after it."""
    for low in facts.warnings:
        for high in facts.warnings:
            spans = [one for one in pole.ear.heard if one.tone in low.tones]
            first_ns = pole.ear.first_ns(high.tones, 0)
            if high.rank > low.rank and first_ns is not None and low.came_ns is not None:
                before = any(one.start_ns < first_ns for one in spans)
                if before and any(one.start_ns > first_ns for one in spans):
                    return True
    return False


def _void(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """An order was void before it could come."""
    came = {one.data for one in pole.came}
    return any(
        one.data not in came and one.at_ns + one.step.ttl_s * NS_PER_S < facts.end_ns
        for one in facts.given
    )


def _muted_item(history: History, facts: Facts, pole: PoleHistory) -> bool:
    due_ns = ITEM_AT_S * NS_PER_S
    return any(start < due_ns + 40 * NS_PER_S and end > due_ns for start, end in facts.muted)


def _live(pole: PoleHistory) -> list[Heard]:
    return [one for one in pole.ear.heard if one.tone in LIVE_TONES]


def _from_live(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """A warning takes the horn from a live programme, which goes on after it."""
    return any(
        one.end_ns <= first_ns + NS_PER_S and first_ns < later.start_ns
        for warning in facts.warnings
        if (first_ns := pole.ear.first_ns(warning.tones, 0)) is not None
        for one in _live(pole)
        if one.start_ns < first_ns
        for later in _live(pole)
        if one.tone == later.tone
    )


def _while_repairing(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """A warning takes the horn from a live programme that has asked for packets still to come."""
    return any(
        any(one.start_ns < came_ns < one.end_ns for one in _live(pole))
        and 0 <= (pole.ear.first_ns(warning.tones, came_ns) or 0) - came_ns < NS_PER_S
        and any(
            asked_ns < came_ns < one.at_ns and one.sent_ns - asked_ns < NS_PER_S
            for asked_ns in pole.asked_ns
            for one in pole.streamed
            if one.repairs and asked_ns < one.sent_ns
        )
        for warning in facts.warnings
        if (came_ns := warning.came_ns) is not None and warning.fate == "waiting"
    )


def _skipped(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """The sender of a live programme skips farther ahead than a node holds, and is heard again."""
    return any(
        one.amount >= _FAR_S and any(heard.start_ns > ns_of(one.at_s) for heard in _live(pole))
        for one in _steps(history, pole, "skip_ahead")
    )


def _restarted(history: History, facts: Facts, pole: PoleHistory) -> bool:
    """The sender of a live programme begins anew in it, and is heard again."""
    return any(
        any(heard.end_ns < ns_of(one.end_s) for heard in _live(pole))
        and any(heard.start_ns > ns_of(one.end_s) for heard in _live(pole))
        for one in _steps(history, pole, "sender_restart")
    )


SITUATIONS: Final[dict[str, Look]] = {
    "a warning takes the horn from the calendar, and gives it back": _preempted,
    "a higher warning takes the horn from a lower one, and gives it back": _above,
    "a warning takes the horn from a live programme, and gives it back": _from_live,
    "pre-empted while repairing": _while_repairing,
    "the sender of a live programme skips far ahead": _skipped,
    "the sender of a live programme begins anew": _restarted,
    "the way is longer while a live programme sounds": _in_live("detour"),
    "disk full at pre-emption": _full_at_preemption,
    "clock stepped while a warning sounds": _in_sound("clock_step"),
    "power cut while a warning sounds": _in_sound("power_cut"),
    "power cut while the calendar sounds": _in_sound("power_cut", item=True),
    "power cut before an order is on the disk": _off_before_kept,
    "a warning sounds again after a boot": _again_after_boot,
    "a warning comes before the time is known": _no_clock,
    "card pulled out while a warning sounds": _in_sound("card_gone"),
    "a CPU too slow for a warning": _too_slow,
    "broker away over midnight": _over_midnight,
    "broker away while a warning sounds": _in_sound("broker_down"),
    "an order given into a half-open link": _half_open,
    "revoked key in use": _revoked_in_use,
    "cancelled while it sounds": _cancelled_in_sound,
    "the calendar is muted": _muted_item,
    "replayed": _fate("replayed"),
    "forged: no key of ours": _fate("unknown key"),
    "forged or corrupted: the signature is wrong": _fate("wrong signature"),
    "an order void before it came": _void,
}
