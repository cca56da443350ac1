"""What `python3 run.py demo` shows: six communes of Hữu Lũng hear one minute of a programme."""

import sys
import time
from pathlib import Path
from typing import Final

from sim.command_line import INTERRUPTED, OK, Parser, complain, duration
from sim.report import check_folder, print_result, write_files
from sim.report.classes import bearer_name, place_name
from sim.report.svg import number
from sim.result.run import RunResult
from sim.run_command import answer, explain, status_of
from sim.village import scenario

SCENARIO: Final = "huu_lung_six"
DURATION_S: Final = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    parser = Parser(prog="run.py demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR")
    parser.add_argument("--duration", type=duration, default=DURATION_S, metavar="S")
    options = parser.parse_args(arguments)
    folder: Path = options.out
    started = time.monotonic()
    try:
        check_folder(folder)
        result = answer(scenario.load(SCENARIO).asked(duration_s=options.duration))
        written = write_files(result, folder)
    except OSError as fault:
        return complain([explain(fault, folder)], status_of(fault))
    except KeyboardInterrupt:
        return complain(["interrupted; nothing was written"], INTERRUPTED)
    print_result(result)
    _tell_where(result, written[0], time.monotonic() - started)
    return OK


def _tell_where(result: RunResult, report: Path, elapsed_s: float) -> None:
    rows = {row.node: row for row in result.nodes}
    print(f"\nOpen   {report.resolve().as_uri()}")
    for name, one in result.listen.items():
        row = rows[one.node]
        said = f"{place_name(row)}, {bearer_name(row.bearer)}, {number(row.dropout_pct, 2)} %"
        print(f"Listen {report.parent / 'listen' / name}.wav  {name}: {said} dropped out")
    print(
        f"\n{len(rows)} clusters x {result.duration_s:g} s in {elapsed_s:.1f} s. Next: "
        "`loalang-sim list`, `loalang-sim run SCENARIO`, docs/scenario.md"
    )


if __name__ == "__main__":
    sys.exit(main())
