"""What is real may not happen in a simulated run: sockets, threads, files, processes, clocks.

Python's audit hooks tell of most of them; for threads and clocks there are none, so their
functions are exchanged while a run is guarded. What a run loads at its beginning (scenario, sound,
kernels) it loads before the guard.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from sim.world.loop import NotVirtualError

_FORBIDDEN: Final = (
    "socket.",
    "_thread.start_new_thread",
    "threading.",
    "open",
    "os.",
    "subprocess.",
    "sqlite3.",
    "select.",
    "pty.",
    "shutil.",
    "tempfile.",
)
_ALLOWED: Final = frozenset({"os.putenv", "os.listdir"})
"""`os.listdir` is asked by the import system, which may load a module late."""

_ZONES: Final = "/tzdata/zoneinfo/"
"""Time zones are code that was installed with the node (`node.control.civil_time.load_zone`)."""

_CLOCKS: Final = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep",
)  # fmt: skip

_guarded = False
_hooked = False


@contextmanager
def guarded() -> Iterator[None]:
    """Let whatever asks for something real fail with `NotVirtualError` while this lasts.

    An import is let through: Python loads modules late, and none of them is part of the answer.
    """
    global _guarded, _hooked  # noqa: PLW0603  # an audit hook is for the whole process, for good
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    real: dict[str, Callable[..., Any]] = {name: getattr(time, name) for name in _CLOCKS}
    for name in _CLOCKS:
        setattr(time, name, _refusing(f"time.{name}"))
    start = threading.Thread.start
    threading.Thread.start = _refusing("a thread's start")  # type: ignore[method-assign]
    before, _guarded = _guarded, True
    silent = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # a line of a log has the time of day in it
    try:
        yield
    finally:
        logging.disable(silent)
        _guarded = before
        threading.Thread.start = start  # type: ignore[method-assign]
        for name, function in real.items():
            setattr(time, name, function)


@contextmanager
def unguarded() -> Iterator[None]:
    """Let a boot read its card: its configuration, time zones, its first kernels."""
    global _guarded  # noqa: PLW0603  # as above
    before, _guarded = _guarded, False
    try:
        yield
    finally:
        _guarded = before


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: object) -> Any:
        raise NotVirtualError(f"{name} was called in a simulated run")

    return refuse


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _guarded or event in _ALLOWED or not event.startswith(_FORBIDDEN):
        return
    if event == "open" and (_imports() or _ZONES in str(arguments[0])):
        return
    what = f"{event} {arguments[0]!r}" if arguments else event
    raise NotVirtualError(f"{what} was asked for in a simulated run")


def _imports() -> bool:
    """Return whether the import system is at work: what it opens is code."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
