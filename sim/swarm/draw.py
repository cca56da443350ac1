"""From a seed to a script: a small village, some orders, and a random subset of all faults.

Each seed leaves most kinds out (swarm testing: what is never there cannot hide what is), and lets
faults fall near orders, for that is where they meet.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar, cast

import numpy as np

from sim.swarm.script import ATTACKS, EVENTS, TIERS, Act, Pole, Script, Step, Tier
from sim.swarm.village import LIVE_NUMBERS
from sim.world.hop import TROUBLES

T = TypeVar("T")

_LATER_ORDERS: Final = ("cancel", "mute", "unmute", "revoke")
_FAULTS: Final = (
    "power_cut", "link_down", "congestion", "half_open", "broker_down", "clock_step", "disk_full",
    "disk_slow", "card_gone",
)  # fmt: skip
"""In this order: it is part of what a seed means."""

_BEGINS: Final = ("05:29", "17:30", "17:30", "23:59", "02:00")
_MIDNIGHT_S: Final = 60.0
"""After the begin of those that begin a minute before it."""
_PROFILES: Final = ("pi_4b_i2s", "pi_zero_2w_i2s", "pi_3b_plus_usb", "pi_5_i2s")
_BEARERS: Final = ("perfect", "ftth", "ftth", "lte_good", "lte_good", "wifi24_outdoor", "lte_weak")

_FIRST_S: Final = 40.0
_LAST_S: Final = 130.0
"""Between these orders are given: the item of the calendar is heard from 60 to 100 s."""

_QUIET_S: Final = (2.0, 3.5, 5.0, 8.0, 12.0, 105.0)
"""At these nobody else has the horn for a while, in most histories."""

_STEPS_MAX: Final = 6

_OFF_MEANWHILE: Final = 0.12
"""Of the histories lose the power while an order is on its way to a slow disk: by chance alone one
in some hundred does, and a node that acknowledges what it has not kept is seen by nothing else."""

_ON_THE_WAY: Final = 0.2
"""Of the histories have packets that are damaged, come twice, or late and overtaken."""

_SLOW: Final = 0.1
"""Of the histories have a CPU that is too slow to play for a while."""

_TOO_SLOW: Final = 0.001
"""Of the speed that is left: the fastest board takes a hundredth of a period for one."""

_NO_RTC: Final = 0.1
"""Of the histories have clocks on boards that do not go on without power."""

_LIVE: Final = 0.25
"""Of the histories have a live programme: it costs several times as much as all the rest."""


def script_of(seed: int) -> Script:
    """Return the history of a seed."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    poles = tuple(
        Pole(
            name=f"n{i + 1}",
            profile=_one(rng, _PROFILES),
            bearer=_one(rng, _BEARERS),
            clock=_chance(rng, 0.6),
        )
        for i in range(_one(rng, (1, 1, 2, 2, 3)))
    )
    orders = _orders(rng, poles)
    kinds = [kind for kind in (*ATTACKS, *_FAULTS) if _chance(rng, 0.35)]
    faults = [
        _fault(rng, _one(rng, kinds), orders, poles)
        for _ in range(_one(rng, range(_STEPS_MAX)) if kinds else 0)
    ]
    begin = _one(rng, _BEGINS)
    if begin == "23:59":
        faults = [_over_midnight(one) if one.do == "broker_down" else one for one in faults]
    # Drawn last: a seed is what it was before there were live programmes, and one more thing.
    live = _live(rng, orders, poles) if _chance(rng, _LIVE) else []
    off = _off_meanwhile(rng, orders, poles) if _chance(rng, _OFF_MEANWHILE) else []
    on_the_way = [_trouble(rng, orders, poles)] if _chance(rng, _ON_THE_WAY) else []
    worn = [_slow(rng, orders, poles)] if _chance(rng, _SLOW) else []
    worn += [Step(at_s=1.0, do="no_rtc", for_s=200.0)] if _chance(rng, _NO_RTC) else []
    all_steps = [*orders, *faults, *live, *off, *on_the_way, *worn]
    steps = tuple(sorted(all_steps, key=lambda one: one.at_s))
    return Script(seed=seed, poles=poles, steps=steps, begin=begin)


def _orders(rng: np.random.Generator, poles: Sequence[Pole]) -> list[Step]:
    events = list(rng.permutation(len(EVENTS)))
    found: list[Step] = []
    for number in range(1, 2 + _one(rng, (1, 1, 2, 2, 3, 4))):
        warned = [one for one in found if one.do == "alert"]
        kind = "alert" if not warned else _one(rng, ("alert", "alert", *_LATER_ORDERS))
        about = _one(rng, warned) if warned else None
        near_s = about.at_s if about is not None and _chance(rng, 0.7) else None
        at_s = _time(rng, near_s)
        by: Tier = _one(rng, TIERS)
        if kind == "cancel" and about is not None:
            at_s, by = max(at_s, about.at_s + 0.5), about.by
        found.append(
            Step(
                at_s=at_s,
                do=cast(Act, kind),
                pole=_one(rng, poles).name if _chance(rng, 0.2) and kind == "alert" else "",
                by=by,
                number=number,
                about=about.number if kind == "cancel" and about is not None else 0,
                event=EVENTS[events.pop()] if kind == "alert" else "",
                priority=kind == "alert" and _chance(rng, 0.2),
                lasts_s=_one(rng, (20, 60, 120)),
                ttl_s=_one(rng, (30, 120, 600)),
            )
        )
    return found


def _fault(
    rng: np.random.Generator, kind: str, orders: Sequence[Step], poles: Sequence[Pole]
) -> Step:
    about = _one(rng, orders)
    everywhere = kind == "broker_down" or _chance(rng, 0.25)
    at_s = _time(rng, about.at_s if _chance(rng, 0.75) else None)
    if kind == "disk_full" and _chance(rng, 0.5):
        at_s = max(1.0, about.at_s - 0.3)  # it is full when the order comes
    return Step(
        at_s=at_s,
        do=cast(Act, kind),
        pole="" if everywhere or kind in ATTACKS else _one(rng, poles).name,
        for_s=0.0 if kind in (*ATTACKS, "half_open") else _one(rng, (0.5, 3.0, 10.0, 30.0, 60.0)),
        by=_one(rng, TIERS),
        about=about.number if kind in ("corrupted", "replayed") else 0,
        event=EVENTS[-1] if kind == "forged" else "",
        way=_one(rng, ("both", "both", "up", "down")) if kind == "link_down" else "both",
        amount=_amount(rng, kind),
        keeps=kind != "broker_down" or _chance(rng, 0.7),
    )


def _live(rng: np.random.Generator, orders: Sequence[Step], poles: Sequence[Pole]) -> list[Step]:
    """Return a live programme or two, most around a warning, and what befalls sender and way."""
    found: list[Step] = []
    for number in LIVE_NUMBERS[: _one(rng, (1, 1, 1, 1, 2))]:
        about, lasts_s = orders[0], _one(rng, (10, 14, 20))
        before_s = _one(rng, range(200, 800)) / 100
        near = _chance(rng, 0.5)
        begins_s = max(1.0, about.at_s - before_s) if near else _one(rng, _QUIET_S)
        live = Step(
            at_s=round(begins_s, 2),
            do="live",
            by=_one(rng, TIERS),
            number=number,
            for_s=float(lasts_s),
            ttl_s=lasts_s + _one(rng, (-6, 3, 3, 10)),
            reports=_chance(rng, 0.7),
        )
        found.append(live)
        if near and live.reports and _chance(rng, 0.4):
            found.append(_hole(rng, about))
        befalls = ("skip_ahead", "sender_restart", "detour")
        found += [_of_sender(rng, kind, live, poles) for kind in befalls if _chance(rng, 0.4)]
    return found


def _hole(rng: np.random.Generator, about: Step) -> Step:
    """Let packets be lost so shortly before a warning comes that they are asked for then."""
    lasts_s = _one(rng, (0.06, 0.1, 0.2))
    ends_s = about.at_s - _one(rng, range(10)) / 100
    return Step(at_s=round(ends_s - lasts_s, 3), do="link_down", for_s=lasts_s, way="down")


def _off_meanwhile(
    rng: np.random.Generator, orders: Sequence[Step], poles: Sequence[Pole]
) -> list[Step]:
    """Return a disk that is slow when an order comes, and the power that goes before it is done."""
    about = _one(rng, orders)
    pole = about.pole or _one(rng, poles).name
    slow_s = _one(rng, (1.0, 4.0))
    off_s = round(about.at_s + slow_s * _one(rng, range(20, 110)) / 100, 2)
    slow = Step(at_s=about.at_s, do="disk_slow", pole=pole, amount=slow_s, for_s=slow_s + 3.0)
    cut = Step(at_s=off_s, do="power_cut", pole=pole, for_s=_one(rng, (3.0, 10.0)))
    return [slow, cut]


def _trouble(rng: np.random.Generator, orders: Sequence[Step], poles: Sequence[Pole]) -> Step:
    """Return packets that are damaged, doubled or held back, most around an order."""
    kind = _one(rng, TROUBLES)
    return Step(
        at_s=_time(rng, _one(rng, orders).at_s if _chance(rng, 0.75) else None),
        do=cast(Act, kind),
        pole="" if _chance(rng, 0.25) else _one(rng, poles).name,
        for_s=_one(rng, (3.0, 10.0, 30.0)),
        amount=_one(rng, (0.05, 0.3, 1.0)),
        held_s=_one(rng, (0.05, 0.5, 5.0)) if kind == "reorder" else 0.0,
    )


def _slow(rng: np.random.Generator, orders: Sequence[Step], poles: Sequence[Pole]) -> Step:
    """Return a CPU that is too slow to finish a period before the next, most around an order."""
    return Step(
        at_s=_time(rng, _one(rng, orders).at_s if _chance(rng, 0.75) else None),
        do="cpu_throttle",
        pole="" if _chance(rng, 0.25) else _one(rng, poles).name,
        for_s=_one(rng, (1.0, 3.0, 10.0, 30.0)),
        amount=_TOO_SLOW,
    )


def _of_sender(rng: np.random.Generator, kind: str, live: Step, poles: Sequence[Pole]) -> Step:
    at_s = round(live.at_s + 2 + live.for_s * _one(rng, range(60)) / 100, 2)
    if kind == "detour":
        amount, lasts_s = _one(rng, (0.03, 0.2, 0.6)), _one(rng, (3.0, 10.0, 30.0))
        return Step(
            at_s=at_s, do="detour", pole=_one(rng, poles).name, amount=amount, for_s=lasts_s
        )
    if kind == "sender_restart":
        lasts_s = _one(rng, (0.1, 0.5, 2.0, 5.0))
        return Step(at_s=at_s, do="sender_restart", about=live.number, for_s=lasts_s)
    amount = _one(rng, (0.3, 2.0, 4.0, 30.0, 300.0))
    return Step(at_s=at_s, do="skip_ahead", about=live.number, amount=amount)


def _over_midnight(step: Step) -> Step:
    """Let the broker be away when the day changes."""
    return replace(step, at_s=round(_MIDNIGHT_S - step.for_s / 2, 2))


def _amount(rng: np.random.Generator, kind: str) -> float:
    if kind == "clock_step":
        return _one(rng, (-7200.0, -90.0, -3.0, 3.0, 90.0, 7200.0, 80_000.0))
    if kind == "congestion":
        return _one(rng, (0.001, 0.01, 0.1))
    return _one(rng, (0.2, 1.0, 4.0, 12.0)) if kind == "disk_slow" else 0.0


def _time(rng: np.random.Generator, near_s: float | None) -> float:
    """Return a time in hundredths of a second: near something, or anywhere."""
    if near_s is None:
        return _one(rng, range(round(_FIRST_S * 100), round(_LAST_S * 100))) / 100
    spread = _one(rng, (0.05, 0.5, 5.0, 20.0))
    away_s = _one(rng, range(-300, 1000)) / 1000 * spread
    return round(max(1.0, near_s + away_s), 2)


def _one(rng: np.random.Generator, things: Sequence[T]) -> T:
    return things[int(rng.integers(len(things)))]


def _chance(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)
