"""How far a run is, on standard error: a bar for people, a line per quarter for logs."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class ProgressLine:
    """A progress bar in a terminal; elsewhere a line at each quarter."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._quarter = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(title, total=None)

    def __enter__(self) -> "ProgressLine":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, done: float, whole: float) -> None:
        """Show that `done` of `whole` node-seconds are finished."""
        self._bar.update(self._task, completed=done, total=whole)
        quarter = int(4 * done / whole) if whole else 4
        if self._bar.disable and quarter > self._quarter:
            self._quarter = quarter
            print(f"{self._title}: {100 * done / whole:.0f} %", file=sys.stderr, flush=True)
