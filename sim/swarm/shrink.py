"""From a failing script to the few steps that still fail: whole halves first, then one by one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from sim.swarm.script import Script

TRIES_MAX: Final = 120
"""Histories lived through for one failure."""


def shrunk(script: Script, fails: Callable[[Script], bool]) -> Script:
    """Return a smaller script that still fails; the same one where nothing can be left out."""
    left = TRIES_MAX
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(script):
            left -= 1
            if left < 0:
                return script
            if fails(smaller):
                script, progress = smaller, True
                break
    return script


def _smaller(script: Script) -> Iterator[Script]:
    """Yield scripts with less in them, the smallest first."""
    steps, poles = script.steps, script.poles
    if len(poles) > 1:
        for pole in poles:
            kept = tuple(one for one in steps if one.pole in ("", pole.name))
            yield replace(script, poles=(pole,), steps=kept)
    size = len(steps) // 2
    while size:
        for at in range(0, len(steps), size):
            yield replace(script, steps=steps[:at] + steps[at + size :])
        size //= 2
    for i, step in enumerate(steps):
        if step.for_s > 1:
            shorter = replace(step, for_s=round(step.for_s / 2, 1))
            yield replace(script, steps=(*steps[:i], shorter, *steps[i + 1 :]))
    for i, pole in enumerate(poles):
        for plain in (replace(pole, bearer="perfect"), replace(pole, clock=True)):
            if plain != pole:
                yield replace(script, poles=(*poles[:i], plain, *poles[i + 1 :]))
