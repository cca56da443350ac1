"""Ten years of a calendar, an urgent message among anything, and a million broken CAP documents.

`python3 -m benchmarks control [--fast] [--json] [--only years|urgent|cap] [--seed N]`. Ends with 1
when a promise is broken.
"""

import argparse
import dataclasses
import inspect
import json
from pathlib import Path
from typing import Final

from benchmarks.control.cap_heavy import HEAVIEST, heavy, read_ms
from benchmarks.control.control_cap import LIMIT_MS, run_fuzz
from benchmarks.control.control_urgent import run_urgent
from benchmarks.control.control_years import run_years
from benchmarks.control.urgent_disk import UrgentDisk
from node.control.loudness import regulation
from node.control.loudness.regulation import RuleFile, load_rule_file

YEARS_CPU_MAX_S: Final = 60.0
URGENT_P999_MAX_MS: Final = 200.0
RULES: Final = ("noise_qcvn_26_2010", "noise_qcvn_26_2025", "hours_common")


def run(arguments: list[str]) -> int:
    """Measure what was asked for; return 0 when every promise holds."""
    parser = argparse.ArgumentParser(prog="benchmarks control", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="a hundredth of it, for CI")
    parser.add_argument("--json", action="store_true", help="numbers as one JSON object")
    parser.add_argument("--only", choices=("years", "urgent", "cap"), help="one of the three")
    parser.add_argument("--seed", type=int, default=2026, help="root of all randomness")
    options = parser.parse_args(arguments)
    measured: dict[str, dict[str, object]] = {}
    broken: list[str] = []
    if options.only in (None, "years"):
        years = run_years(load_rules(), years=1 if options.fast else 10, seed=options.seed)
        measured["years"] = _shown(years)
        broken += years.violations
        if years.cpu_s > YEARS_CPU_MAX_S:
            broken.append(f"years took {years.cpu_s:.1f} s of CPU: at most {YEARS_CPU_MAX_S:g}")
    if options.only in (None, "urgent"):
        with UrgentDisk() as disk:
            urgent = run_urgent(100 if options.fast else 10_000, seed=options.seed, disk=disk)
        measured["urgent"] = _shown(urgent)
        late = max(urgent.first_sample_p999_ms, urgent.alone_p999_ms) > URGENT_P999_MAX_MS
        if late or urgent.not_heard or urgent.two_at_once:
            broken.append(f"urgent: {measured['urgent']}")
    if options.only in (None, "cap"):
        fuzz = run_fuzz(10_000 if options.fast else 1_000_000, seed=options.seed)
        measured["cap"] = _shown(fuzz)
        broken += fuzz.violations
        if fuzz.slower_than_30_ms:
            broken.append(f"{fuzz.slower_than_30_ms} documents took more than 30 ms")
        heaviest = {name: min(read_ms(heavy(name, 1.0)) for _ in range(7)) for name in HEAVIEST}
        measured["heaviest documents, ms"] = {k: round(ms, 1) for k, ms in heaviest.items()}
        broken += [f"{k}: {ms:.1f} ms" for k, ms in heaviest.items() if ms > LIMIT_MS]
    _print(measured, broken, as_json=options.json)
    return 1 if broken else 0


def load_rules() -> tuple[RuleFile, ...]:
    """Return the rule files that the measurement obeys."""
    folder = Path(inspect.getfile(regulation)).parents[1] / "regulations"
    return tuple(
        load_rule_file((folder / f"{name}.toml").read_text(encoding="utf-8"), where=name)
        for name in RULES
    )


def _shown(result: object) -> dict[str, object]:
    shown = dataclasses.asdict(result)  # type: ignore[call-overload]  # results are dataclasses
    return {k: len(v) if isinstance(v, list) else v for k, v in shown.items()}


def _print(measured: dict[str, dict[str, object]], broken: list[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**measured, "broken": broken}, indent=1))
        return
    for name, values in measured.items():
        print(name)
        for key, value in values.items():
            print(f"  {key:24} {value}")
    print("\n".join(broken) if broken else "every promise holds")
