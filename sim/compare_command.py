"""What `loalang-sim compare` does: two sides in, what changed out."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from node.config import ConfigError
from sim.command_line import CONDITION, FAILED, OK, USER, complain
from sim.compare.answers import Answer, Asked, TreeError, answers_of, is_tree
from sim.compare.difference import Change, Comparison, Hamlet, compare

_NAMED_MAX: Final = 8


def run(options: argparse.Namespace) -> int:
    """Print what changed from A to B; 3 when anything did, 0 when nothing."""
    asked = Asked(
        scenario=options.scenario,
        seeds=tuple(dict.fromkeys(options.seeds)),
        duration_s=options.duration,
        day=options.day,
    )
    sides: tuple[Path, Path] = (options.a, options.b)
    try:
        if asked.scenario is not None and not any(is_tree(one) for one in sides):
            raise ConfigError("--scenario is for source trees: neither A nor B is one")
        a, b = (answers_of(one, asked) for one in sides)
        found = compare(a, b)
    except ConfigError as fault:
        return complain(str(fault).splitlines(), USER)
    except TreeError as fault:
        return complain([str(fault)], FAILED)
    if options.json:
        print(json.dumps(_object(found, sides), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(found, sides)))
    return CONDITION if found.differs else OK


def _object(found: Comparison, sides: tuple[Path, Path]) -> dict[str, Any]:
    """Return everything, JSON-able."""
    return {
        "a": str(sides[0]),
        "b": str(sides[1]),
        "differs": found.differs,
        "pairs": [[_run(one) for one in pair] for pair in found.pairs],
        "equal_traces": found.equal_traces,
        "sound_not_known": found.sound_not_known,
        "other_sound": found.other_sound,
        "other_days": found.other_days,
        "unpaired_seeds": found.unpaired_seeds,
        "hamlets": [
            {
                "commune": commune,
                "hamlet": hamlet,
                "changes": [asdict(one) | {"is_sure": one.is_sure} for one in changes],
            }
            for (commune, hamlet), changes in found.changes.items()
        ],
        "only_a": found.only_a,
        "only_b": found.only_b,
        "clusters_only_a": found.clusters_only_a,
        "clusters_only_b": found.clusters_only_b,
    }


def _run(one: Answer) -> dict[str, Any]:
    names = ("scenario", "seed", "duration_s", "scenario_hash", "trace_hash")
    return {name: getattr(one, name) for name in names}


def _lines(found: Comparison, sides: tuple[Path, Path]) -> Iterator[str]:
    for name, path, number in zip("AB", sides, (0, 1), strict=True):
        runs = [pair[number] for pair in found.pairs]
        seeds = " ".join(str(one.seed) for one in runs)
        yield f"{name}  {path}: {runs[0].scenario}, {runs[0].duration_s:g} s, seed {seeds}"
    yield f"equal to the bit: {found.equal_traces} of {len(found.pairs)}"
    yield from _traces(found)
    if found.unpaired_seeds:
        yield f"left out, only on one side: seed {' '.join(map(str, found.unpaired_seeds))}"
    if any(a.scenario_hash != b.scenario_hash for a, b in found.pairs):
        yield "the scenarios are not the same: what changed is theirs and the code's together"
    for hamlet, changes in found.changes.items():
        if changes:
            yield ""
            yield _title(hamlet)
            yield from (f"  {_words(one, len(found.pairs))}" for one in changes)
    same = sum(not changes for changes in found.changes.values())
    yield ""
    yield f"{same} of {len(found.changes)} hamlets without any change"
    for side, hamlets in (("A", found.only_a), ("B", found.only_b)):
        yield from (f"only in {side}: {_title(one)}" for one in hamlets)
    for side, names in (("A", found.clusters_only_a), ("B", found.clusters_only_b)):
        if names:
            yield f"clusters only in {side}: {_named(names)}"


def _traces(found: Comparison) -> Iterator[str]:
    """Yield why runs are not equal to the bit, where no figure of a hamlet says it."""
    if found.sound_not_known:
        yield (
            f"cannot be equal to the bit: {found.sound_not_known}, for one side has no sound "
            "(--no-sound) and traces have it in them; the figures below do not need it"
        )
    if found.other_sound:
        yield f"other samples at: {_named(found.other_sound)}"
    if found.other_days:
        yield f"the days are not the same, in their {', '.join(found.other_days)}"
    told = found.sound_not_known or found.other_sound or any(found.changes.values())
    told = told or found.other_days or found.clusters_only_a or found.clusters_only_b
    if found.equal_traces < len(found.pairs) and not (told or found.only_a or found.only_b):
        yield "what is not the same has no figure below: when something came or was played"


def _named(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED_MAX
    return f"{', '.join(names[:_NAMED_MAX])}{f' and {more} more' if more > 0 else ''}"


def _title(hamlet: Hamlet) -> str:
    return " · ".join(dict.fromkeys(hamlet))


def _words(one: Change, pairs: int) -> str:
    text = f"{one.figure:20} {_number(one.a)} -> {_number(one.b)}"
    if one.difference is not None:
        text += f"  {one.difference:+.6g}"
    if one.low is not None and one.high is not None:
        text += f"  (95 %: {one.low:+.6g} to {one.high:+.6g}{'' if one.is_sure else ', not sure'})"
    if one.difference is not None and one.seeds < pairs:
        text += f"  ({one.seeds} of {pairs} seeds; in the others a side has none)"
    return text


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.8g}"
