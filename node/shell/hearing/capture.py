"""Samples of the loop: from a sound card by `arecord`, or from a FIFO or file; on its own thread.

```
 arecord ─ pipe ─┐
 FIFO, file ─────┴► read, at most 0.2 s at a time ─► take(sound, now)
    └ ends, is silent for 3 s, cannot be opened ─► fault, and again after 1, 2, 4 … 10 s
```
What comes at another rate than it should is a fault too, and is not handed on.
A process of its own, so that no library of it can stop the one that plays, and so that a device
that hangs is killed and not waited for. Nothing here is ever waited for by anybody.
"""

import os
import select
import stat
import subprocess
import threading
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.shell.clocks import now_ns
from node.shell.faults import ShellError, file_fault
from node.shell.hearing.rate_watch import RateWatch
from node.shell.hearing.settings import LoopConfig
from node.units import NS_PER_S

WAITS_S: Final = (1.0, 10.0)
"""First and longest wait before it is opened again: each is twice the one before."""
SILENCE_S: Final = 3.0
"""No samples for so long: it hangs."""

_LOOK_S: Final = 0.2
_BLOCK_S: Final = 0.1
_CLOSE_S: Final = 2.0
_OPENING_NS: Final = 6 * NS_PER_S
_STEADY_NS: Final = 10 * NS_PER_S
_WORDS_MAX: Final = 200
_NO_ARECORD: Final = "no arecord: `apt install alsa-utils`"
_MUTE: Final = "no samples for 3 s"

Take = Callable[[NDArray[np.float32], int], None]
"""Told what was captured until then, (n,) float32."""


class Capture:
    """Read the loop until it is closed.

    Parameters
    ----------
    config : LoopConfig
        Device or file, and the rate.
    take : callable
        Gets the samples, on this thread.
    """

    def __init__(self, config: LoopConfig, take: Take) -> None:
        self._config = config
        self._take = take
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)
        self._why: str | None = None
        """What ended it the last time; None: it captures, or has not begun."""
        self._rate = RateWatch(config.rate_hz)
        self._began_ns = now_ns()
        self._heard_ns = 0
        self.losses = 0
        """How often it ended, or could not be opened."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def hears(self) -> bool:
        """Whether anything has been captured."""
        return self._heard_ns > 0

    def fault(self, now_ns: int) -> str | None:
        """Return why nothing is captured now; None: it is, or it may still begin."""
        if not self._thread.is_alive():
            return "its thread has ended: the log says why"
        if self._why is None and now_ns - max(self._heard_ns, self._began_ns) > _OPENING_NS:
            return "it does not open"
        return self._why or self._rate.fault

    def close(self) -> None:
        """End; a device that hangs is left behind."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        wait_s = WAITS_S[0]
        while not self._ended.is_set():
            began_ns = now_ns()
            try:
                self._why = self._read()
            except ShellError as fault:
                self._why = str(fault)
            self.losses += 1
            if now_ns() - began_ns > _STEADY_NS:
                wait_s = WAITS_S[0]
            self._ended.wait(wait_s)
            wait_s = min(2 * wait_s, WAITS_S[1])

    def _read(self) -> str:
        """Read until it ends; return why it did."""
        if self._config.file is not None:
            return self._read_file(self._config.file)
        assert self._config.device is not None, "a loop that is wired has one"
        return self._read_device(self._config.device)

    def _read_device(self, device: str) -> str:
        rate = str(self._config.rate_hz)
        command = [*f"arecord -q -t raw -f S16_LE -c 1 -r {rate} -D".split(), device]
        try:
            recorder = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as fault:
            raise ShellError(_NO_ARECORD) from fault
        except OSError as fault:
            raise file_fault("arecord", fault) from fault
        assert recorder.stdout is not None and recorder.stderr is not None
        try:
            why = self._read_pipe(recorder.stdout.fileno(), is_paced=True)
        finally:
            recorder.kill()
        said = _words(recorder.stderr.fileno())
        recorder.stdout.close()
        recorder.stderr.close()
        threading.Thread(target=recorder.wait, daemon=True).start()  # one that hangs in its driver
        return f"{device}: {said or why}"

    def _read_file(self, path: str) -> str:
        try:
            mode = os.stat(path).st_mode
            is_paced = not stat.S_ISREG(mode)
            if is_paced and not stat.S_ISFIFO(mode):  # a device may have no end, and no pace
                return f"{path}: is no FIFO and no file of samples"
            # Who writes to a FIFO may come and go: it is open for writing here too, and never ends.
            how = os.O_RDWR if is_paced else os.O_RDONLY
            descriptor = os.open(path, how | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as fault:
            raise file_fault(path, fault) from fault
        try:
            return f"{path}: {self._read_pipe(descriptor, is_paced=is_paced)}"
        except OSError as fault:
            raise file_fault(path, fault) from fault
        finally:
            os.close(descriptor)

    def _read_pipe(self, descriptor: int, *, is_paced: bool) -> str:
        """Hand samples on until they end; a file is read as fast as it would be captured."""
        size = 2 * int(_BLOCK_S * self._config.rate_hz)
        half, heard_ns = b"", now_ns()
        while not self._ended.is_set():
            if not is_paced:
                self._ended.wait(_BLOCK_S)
            elif not select.select([descriptor], [], [], _LOOK_S)[0]:
                if now_ns() - heard_ns > SILENCE_S * NS_PER_S:
                    return _MUTE
                continue
            try:
                data = half + os.read(descriptor, size)
            except BlockingIOError:  # a FIFO that nobody writes to yet
                continue
            if len(data) == len(half):
                return "it ended"
            half = data[len(data) & ~1 :]
            samples = np.frombuffer(data[: len(data) & ~1], "<i2")
            sound = np.divide(samples, 32768, dtype=np.float32)
            heard_ns = self._heard_ns = now_ns()
            self._why = None
            if is_paced:
                self._rate.receive(sound.size, heard_ns)
            if sound.size and self._rate.fault is None:
                self._take(sound, heard_ns)
        return "closed"


def _words(descriptor: int) -> str:
    """Return the last line that a program said of itself, if it said any."""
    os.set_blocking(descriptor, False)
    try:
        lines = os.read(descriptor, 4096).decode(errors="replace").strip().splitlines()
    except BlockingIOError:
        return ""
    return lines[-1][:_WORDS_MAX] if lines else ""
