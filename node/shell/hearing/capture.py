"""Samples of the loop: from a sound card by `arecord`, or from a FIFO or file; on its own thread.

```
 arecord ─ pipe ─┐
 FIFO, file ─────┴► read, at most 0.25 s at a time ─► take(sound, now)
    └ ends, is silent for 3 s, cannot be opened ─► fault, and again after 1, 2, 4 … 10 s
    └ arecord complains while nothing comes ─► fault, in its own words
```
What comes at another rate than it should is a fault too, and is not handed on.
A process of its own, so that no library of it can stop the one that plays, and so that a device
that hangs is killed and not waited for. Nothing here is ever waited for by anybody. It has an
ordinary priority: one that spins takes nothing from the thread that feeds the card.
"""

import os
import select
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
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

_LOOK_S: Final = 0.5
_BLOCK_S: Final = 0.25
_REST_S: Final = 0.2
_AHEAD_S: Final = 1.0
"""In the driver, for a machine that is busy."""
_COMPLAINS_NS: Final = NS_PER_S
"""What a program said is why, when nothing came for so long."""
_CLOSE_S: Final = 2.0
_OPENING_NS: Final = 6 * NS_PER_S
_STEADY_NS: Final = 10 * NS_PER_S
_WORDS_MAX: Final = 120
_WORDS_BYTES: Final = 4096
_NO_ARECORD: Final = "no arecord: `apt install alsa-utils`"
_MUTE: Final = "no samples for 3 s"
_HELPS: Final = {
    "Permission denied": "the node's user must be in the group audio",
    "Device or resource busy": "another program has it",
    "No such file or directory": "`arecord -L` lists what is there",
}
"""What the system says at the end of a line, and what that means of a capture."""

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
        self.said = ""
        """The last line that `arecord` said of itself, whether or not it goes on."""

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
        _lower_children()
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
        rate_hz, block_us = self._config.rate_hz, int(_BLOCK_S * 1e6)
        command = [*f"arecord -q -t raw -f S16_LE -c 1 -r {rate_hz}".split()]
        command += [*f"-F {block_us} -B {int(_AHEAD_S * 1e6)} -D".split(), device]
        pipe = subprocess.PIPE
        try:
            recorder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        except FileNotFoundError as fault:
            raise ShellError(_NO_ARECORD) from fault
        except OSError as fault:
            raise file_fault("arecord", fault) from fault
        assert recorder.stdout is not None and recorder.stderr is not None
        words = recorder.stderr.fileno()
        os.set_blocking(words, False)
        self.said = ""
        try:
            why = self._read_pipe(recorder.stdout.fileno(), is_paced=True, words=words)
        finally:
            recorder.kill()
        self._hear_words(words)
        recorder.stdout.close()
        recorder.stderr.close()
        threading.Thread(target=recorder.wait, daemon=True).start()  # one that hangs in its driver
        return f"{device}: {self.said or why}"

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

    def _read_pipe(self, descriptor: int, *, is_paced: bool, words: int | None = None) -> str:
        """Hand samples on until they end; a file is read as fast as it would be captured.

        `words` is read too: a program that may complain no more stands still.
        """
        size = 2 * int(_BLOCK_S * self._config.rate_hz)
        half, heard_ns = b"", now_ns()
        while not self._ended.is_set():
            if not is_paced:
                self._ended.wait(_BLOCK_S)
            else:
                asked = [descriptor] if words is None else [descriptor, words]
                ready = select.select(asked, [], [], _LOOK_S)[0]
                if words in ready and not self._hear_words(words):
                    words = None
                if descriptor not in ready:
                    silent_ns = now_ns() - heard_ns
                    if silent_ns > SILENCE_S * NS_PER_S:
                        return _MUTE
                    if self.said and silent_ns > _COMPLAINS_NS:
                        self._why = f"{self._config.device}: {self.said}"
                    continue
            try:
                data = half + os.read(descriptor, size)
            except BlockingIOError:  # a FIFO that nobody writes to yet
                continue
            if len(data) == len(half):
                return "it ended"
            half = data[len(data) & ~1 :]
            samples = np.frombuffer(data[: len(data) & ~1], "<i2")
            sound = np.multiply(samples, 1 / 32768, dtype=np.float32)
            heard_ns = self._heard_ns = now_ns()
            self._why = None
            if is_paced:
                self._rate.receive(sound.size, heard_ns)
            if sound.size and self._rate.fault is None:
                self._take(sound, heard_ns)
            if is_paced and len(data) < size:  # drained: who writes little and often waits here
                self._ended.wait(_REST_S)
        return "closed"

    def _hear_words(self, descriptor: int | None) -> bool:
        """Keep the last line that a program says of itself; return whether it may say more."""
        assert descriptor is not None, "the caller looked"
        try:
            data = os.read(descriptor, _WORDS_BYTES)
        except BlockingIOError:
            return True
        if lines := data.decode(errors="replace").strip().splitlines():
            last = lines[-1][:_WORDS_MAX]
            helps = next((more for end, more in _HELPS.items() if last.endswith(end)), "")
            self.said = f"{last}: {helps}" if helps else last
        return bool(data)


def _lower_children() -> None:
    """Let what this thread starts have an ordinary priority, whatever this one's is."""
    policy = os.sched_getscheduler(0)
    if policy in (os.SCHED_FIFO, os.SCHED_RR):
        with suppress(OSError):
            os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, os.sched_getparam(0))
