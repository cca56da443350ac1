"""`loalang-sim swarm`: look for a history in which the nodes break a rule, and show it small."""

import argparse
from pathlib import Path

from node.config import ConfigError
from sim.command_line import CONDITION, FAILED, OK, USER, complain
from sim.progress import ProgressLine
from sim.swarm import ledger
from sim.swarm.campaign import Campaign, first_difference
from sim.swarm.draw import script_of
from sim.swarm.history import live
from sim.swarm.reached import SITUATIONS
from sim.swarm.rules import broken
from sim.swarm.script import Script, read, written


def swarm(options: argparse.Namespace) -> int:
    """Run a campaign, replay a script, or the whole ledger."""
    try:
        if options.replay is not None:
            return _replay(options.replay)
        return _campaign(options.first, options.seeds, options.out)
    except ConfigError as fault:
        return complain(str(fault).splitlines(), USER)
    except OSError as fault:
        return complain([f"{fault.filename}: {fault.strerror}"], FAILED)


def _campaign(first: int, count: int, folder: Path) -> int:
    campaign = Campaign()
    with ProgressLine("swarm") as line:
        for seed in campaign.run(range(first, first + count)):
            line.show(float(seed - first + 1), float(count))
    print(f"{campaign.lived} histories, {campaign.pole_s / 3600:.1f} hours of poles")
    for name in SITUATIONS:
        print(f"  {campaign.reached[name]:5}  {name}")
    for failure in campaign.failures:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"seed-{failure.seed}.toml"
        path.write_text(written(failure.script), encoding="utf-8")
        steps = len(failure.script.steps)
        print(f"seed {failure.seed}: {failure.first.said()}")
        print(f"  in {steps} steps: loalang-sim swarm --replay {path}")
    for text in campaign.differing:
        print(text)
    missed = [f"never reached: {name}" for name in campaign.missed]
    if campaign.failures or campaign.differing or missed:
        lines = [f"{len(campaign.failures)} of {campaign.lived} histories broke a rule", *missed]
        return complain(lines, CONDITION)
    print("no rule was broken")
    return OK


def _replay(path: Path) -> int:
    failed = 0
    for name, script in _scripts(path):
        history = live(script)
        found = broken(history)
        other = first_difference(history, live(script))
        lines = [one.said() for one in found] + ([] if other is None else [other])
        print(f"{name}: {'holds' if not lines else ''}".rstrip())
        for line in lines:
            print(f"  {line}")
        failed += bool(lines)
    return CONDITION if failed else OK


def _scripts(path: Path) -> list[tuple[str, Script]]:
    if path.name.isdigit() and not path.exists():
        return [(f"seed {path.name}", script_of(int(path.name)))]
    if path.is_file() and "[[seeds]]" in path.read_text(encoding="utf-8", errors="replace"):
        return [(one.name, one.script) for one in ledger.read(path)]
    return [(path.name, read(path))]
