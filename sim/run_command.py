"""What `loalang-sim` does once its arguments are read: run, list, check."""

import argparse
import errno
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import ConfigError
from sim import condition
from sim.command_line import CONDITION, FAILED, OK, USER, complain
from sim.day.nodes import DAY_S
from sim.day.verdict import calendar_sentence, warned_sentence
from sim.drive import run as drive
from sim.drive.rounds import Watcher
from sim.fleet import run as fleet
from sim.progress import ProgressLine
from sim.report import check_folder, print_result, write_files
from sim.result.day import DayResult
from sim.result.run import RunResult
from sim.station import payloads
from sim.tier import FLEET, MANY, WORLD, Tier, choose
from sim.village import places as village
from sim.village import scenario
from sim.village.course import require_lived
from sim.village.scenario import Scenario
from sim.world.whole_day import WholeDay

REPLAY: Final = "replay.html"

_USERS_FAULT: Final = frozenset(
    {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS}
    | {errno.ENAMETOOLONG}
)


def run(options: argparse.Namespace) -> int:
    """Run a scenario, write its files, print its table or its JSON."""
    folder: Path = options.out
    try:
        conditions = [condition.read(text, day=options.day) for text in options.fail_on]
        whole = scenario.load(options.scenario).asked(seed=options.seed)
        check_folder(folder)  # better told before the run than after it
        asked = whole.asked(duration_s=options.duration)
        tier = choose(options.tier, asked, replay=options.replay, sound=not options.no_sound)
        if not options.day:
            require_lived(asked, "run")
        day = answer_day(whole) if options.day else None
        result, more = _answer_and_replay(asked, tier, options)
        if day is not None:
            result = with_day(result, day)
        written = write_files(result, folder, more=more)
    except ConfigError as fault:
        return complain(str(fault).splitlines(), USER)
    except OSError as fault:
        return complain([explain(fault, folder)], status_of(fault))
    if options.json:
        print(to_json(result), flush=True)
    else:
        print_result(result)
        print(tier.said())
        if options.day:
            print(WORLD.said(" of the day"))
        print(f"report: {written[0]}")
        if options.replay:
            print(f"replay: {folder / REPLAY}")
    met = [one.said(result) for one in conditions if one.met(result)]
    return complain(met, CONDITION) if met else OK


def show_list(_: argparse.Namespace) -> int:
    """Print name, clusters and question of each scenario that ships."""
    for name in scenario.names():
        one = scenario.load(name)
        print(f"{name:14}  {sum(1 for _ in one.clusters()):4} clusters  {one.question}")
    return OK


def check(options: argparse.Namespace) -> int:
    """Read a scenario with all that it names, and say what it is or what is wrong in it."""
    try:
        asked = scenario.load(options.scenario)
        built = village.build_village(asked)
    except ConfigError as fault:
        return complain(str(fault).splitlines(), USER)
    communes = len(asked.communes)
    print(
        f"{asked.name}: right. {len(built.places)} clusters in {communes} "
        f"{'commune' if communes == 1 else 'communes'}, {asked.duration_s:g} s, "
        f"{len(built.unverified)} unverified inputs, scenario hash {built.scenario_hash}"
    )
    return OK


def encode(options: argparse.Namespace) -> int:
    """Write the Opus packets of a scenario beside its sounds, so that all machines send the same.

    Sounds that ship have theirs already.
    """
    try:
        asked = scenario.load(options.scenario)
        path = scenario.sound_file(asked)
        assert path is not None, "load() checks this"
        written = payloads.write_beside(path, asked.sender)
    except ConfigError as fault:
        return complain(str(fault).splitlines(), USER)
    except OSError as fault:
        return complain([f"{fault.filename}: cannot be written ({fault.strerror})"], USER)
    for one in written:
        print(one)
    return OK


def answer(
    asked: Scenario,
    *,
    sound: bool = True,
    watcher: Watcher | None = None,
) -> RunResult:
    """Run a scenario behind a progress bar on standard error."""
    with ProgressLine(asked.title) as line:
        return drive.run(
            asked,
            progress=line.show,
            decode=sound,
            watcher=watcher,
        )


def _answer_and_replay(
    asked: Scenario, tier: Tier, options: argparse.Namespace
) -> tuple[RunResult, dict[str, bytes]]:
    """Return the answer, and by its name the page in which its worst minutes play back, if any."""
    if tier.name == FLEET:
        with ProgressLine(asked.title) as line:
            apart = options.tier == FLEET or sum(1 for _ in asked.clusters()) > MANY
            return fleet.run(asked, progress=line.show, apart=apart), {}
    sound = not options.no_sound
    if not options.replay:
        return answer(asked, sound=sound), {}
    from sim.replay.moments import Recorder
    from sim.replay.page import heard_poles, replay_page

    recorder = Recorder(asked)
    result = answer(asked, sound=sound, watcher=recorder.watch)
    moments = recorder.worst(result)
    heard: dict[str, NDArray[np.float32]] = {}
    if sound:
        with ProgressLine(f"{asked.title}, to be played back") as line:
            poles = heard_poles(result)
            played = drive.capture(
                asked,
                poles,
                from_s=moments.start_s,
                until_s=moments.start_s + moments.length_s,
                progress=line.show,
            )
            heard = {node: played[node] for node in poles}  # the worst is shown first
    return result, {REPLAY: replay_page(result, moments, heard).encode()}


def answer_day(asked: Scenario) -> DayResult:
    """Run the day of a scenario behind a progress bar on standard error."""
    built = village.build_village(asked)
    with closing(WholeDay(asked, built)) as lived:
        with ProgressLine(f"{asked.title}, {lived.day.date}") as line:
            for done_s in lived.advance():
                line.show(done_s, float(DAY_S * len(built.places)))
        return lived.result()


def with_day(result: RunResult, day: DayResult) -> RunResult:
    """Return `result` with its day; the verdict says first who was not warned, then what else."""
    warned = f"{warned_sentence(day)} {calendar_sentence(day)}".strip()
    live = f"Live programme at {day.live_at}: {result.verdict}"
    return replace(result, day=day, verdict=f"{warned} {live}" if warned else result.verdict)


def to_json(result: RunResult) -> str:
    """Return one JSON object in one line: equal for equal runs, so without what the CPU took."""
    summary = result.summary()
    del summary["cpu"]
    return json.dumps(summary, ensure_ascii=False, allow_nan=False)


def explain(fault: OSError, folder: Path) -> str:
    """Say in one line what could not be written and what would help."""
    what = fault.strerror or str(fault)
    remedy = {
        errno.ENOSPC: "free some space, or choose another place with --out",
        errno.EDQUOT: "free some space, or choose another place with --out",
        errno.EFBIG: "free some space, or choose another place with --out",
    }.get(fault.errno or 0, "choose a folder that you may write to with --out")
    return f"cannot write the report to {folder}: {what}; {remedy}"


def status_of(fault: OSError) -> int:
    """Return 2 where the user named a folder that cannot be one, 1 where the machine failed."""
    return USER if fault.errno in _USERS_FAULT else FAILED
