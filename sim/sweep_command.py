"""What `loalang-sim sweep` does once its arguments are read."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

from node.config import ConfigError, require
from sim.command_line import FAILED, INTERRUPTED, OK, USER, complain
from sim.report import check_folder
from sim.report.odds import (
    effects_json,
    effects_page,
    odds_json,
    odds_page,
    print_effects,
    print_odds,
)
from sim.run_command import explain, status_of
from sim.sweep.course import Course, read_until
from sim.sweep.odds import FIGURES, MEANS, Odds
from sim.sweep.pool import InPlace, Pool, Processes
from sim.sweep.room import no_room
from sim.sweep.sampling import read_sample
from sim.sweep.settings import changed, check_values, read_variants, with_numbers
from sim.sweep.store import ROWS, put_whole
from sim.sweep.study import ranked, study
from sim.sweep.sweep import DAY, PROGRAMME, WARNING, Sweep
from sim.sweep.work import WorkerError
from sim.village import scenario
from sim.village.places import build_village

_VILLAGES: Final = 20
_TOLD_EVERY_S: Final = 2.0
_CHUNKS_WANTED: Final = 200


def sweep(options: argparse.Namespace) -> int:
    """Run a sweep, or what is missing of it, and say what it answers."""
    folder: Path = options.out
    stays = f"what is done stays in {folder}: ask again to go on"
    try:
        until = None if options.until is None else read_until(options.until)
        figure = _figure(options)
        asked = _asked(options)
        check_folder(folder)
        course = Course(asked, folder, until)
        size = options.chunk or max(1, min(16, asked.throws // _CHUNKS_WANTED))
        line = _Line(quiet=options.json and not sys.stderr.isatty())
        answer = course.run(_pool(options), chunk=size, told=line.told)
        if figure is None:
            _tell_odds(answer, folder, as_json=options.json)
        else:
            _tell_effects(course, figure, folder, as_json=options.json)
    except ConfigError as fault:
        return complain(str(fault).splitlines(), USER)
    except OSError as fault:
        return complain([explain(fault, folder)], status_of(fault))
    except WorkerError as fault:
        return complain([f"{fault}; {stays}"], FAILED)
    except KeyboardInterrupt:
        return complain([f"interrupted; {stays}"], INTERRUPTED)
    return OK


def _tell_odds(answer: Odds, folder: Path, *, as_json: bool) -> None:
    told = odds_json(answer)
    put_whole(folder / "odds.json", (told + "\n").encode())
    put_whole(folder / "odds.html", odds_page(answer).encode())
    if as_json:
        print(told, flush=True)
        return
    print_odds(answer)
    print(f"page: {folder / 'odds.html'}   rows: {folder / ROWS}")


def _tell_effects(course: Course, figure: str, folder: Path, *, as_json: bool) -> None:
    found = ranked(course.sweep, course.figures(), figure)
    told = effects_json(course.sweep, figure, found)
    put_whole(folder / "sensitivity.json", (told + "\n").encode())
    put_whole(folder / "sensitivity.html", effects_page(course.sweep, figure, found).encode())
    if as_json:
        print(told, flush=True)
        return
    print_effects(course.sweep, figure, found)
    print(f"page: {folder / 'sensitivity.html'}   rows: {folder / ROWS}")


def _figure(options: argparse.Namespace) -> str | None:
    """Return the figure of a study; None where none is asked."""
    if options.sensitivity is None:
        if options.figure is not None:
            raise ConfigError("--figure: is of --sensitivity")
        return None
    if options.set or options.until or options.villages:
        raise ConfigError("--sensitivity: not together with --set, --until and --villages")
    known = (*FIGURES, *MEANS)
    figure: str = (
        options.figure or f"clusters_{'warned' if options.only in (WARNING, DAY) else 'heard'}"
    )
    if figure not in known:
        raise ConfigError(f"--figure {figure!r}: must be one of {', '.join(known)}")
    return figure


def _asked(options: argparse.Namespace) -> Sweep:
    asked = scenario.load(options.scenario).asked(duration_s=options.duration)
    variants = read_variants(options.set)
    sample = None if options.sample is None else read_sample(options.sample, asked)
    if sample is None and options.villages is not None:
        raise ConfigError("--villages: needs --sample, a file that says what is not known")
    village = build_village(asked, with_hash=False)
    check_values(village, [pair for one in variants for pair in one.values])
    if sample is not None:
        check_values(village, [(one.name, one.low) for one in sample.inputs])
        for one in sample.inputs:
            for value in (one.low, one.high):
                with_numbers(village, {one.name: value})  # what cannot be is told here
    day = asked.day
    if options.only == DAY and (day is None or all(one.kind != "alert" for one in day.orders)):
        raise ConfigError(f"--only day: {asked.name} has no day with a warning in it")
    found = Sweep(
        scenario=asked,
        variants=variants,
        sample=sample,
        villages=1 if sample is None else options.villages or _VILLAGES,
        seeds=options.seeds,
        measures=(PROGRAMME, WARNING) if options.only is None else (options.only,),
        within_s=options.within or (60 if day is None else day.warned_within_s),
    )
    for variant in variants:
        changed(asked, variant)
        question = found.question(variant, found.throw(0))  # better told before than in it
        require(no_room(*question) if WARNING in found.measures else [])
    return found if options.sensitivity is None else study(found, village, options.sensitivity)


def _pool(options: argparse.Namespace) -> Pool:
    if options.cluster is not None:
        try:
            from sim.sweep.cluster import Cluster
        except ModuleNotFoundError as fault:
            raise WorkerError(
                f"{fault.name} is not installed: pip install 'loalang[cluster]'"
            ) from fault
        return Cluster(options.cluster)
    workers = options.workers or len(os.sched_getaffinity(0))
    return InPlace() if workers == 1 else Processes(workers)


class _Line:
    """How far it is, how long it will take, and the figures so far, on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began_s = time.monotonic()
        self._told_s = self._began_s
        self._first: int | None = None

    def told(self, done: int, whole: int, so_far: Odds | None) -> None:
        """Tell it now and then."""
        now_s = time.monotonic()
        if self._first is None:
            self._first = done
            self._began_s = now_s  # workers have begun by now
        if self._quiet or now_s - self._told_s < _TOLD_EVERY_S:
            return
        self._told_s = now_s
        made = done - self._first
        left = f"{(now_s - self._began_s) / made * (whole - done):.0f} s left" if made else "..."
        figures = "" if so_far is None else _figures(so_far)
        print(f"{done} of {whole} throws, {left}{figures}", file=sys.stderr, flush=True)


def _figures(so_far: Odds) -> str:
    found = []
    for one in so_far.variants:
        name = "odds_heard" if "odds_heard" in one.figures else "odds_warned"
        value = one.figures[name]
        found.append(f"{one.label}: {name} {100 * value.value:.0f} ± {100 * value.half:.0f} %")
    return "; " + "; ".join(found[:4])
