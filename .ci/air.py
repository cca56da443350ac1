"""From the file that a node plays into to the FIFO of its microphone: `air.py WAV FIFO CUT`.

20 dB softer and with noise; as long as there is a file CUT, noise alone. It writes whole periods:
ALSA fills with silence what a read from its file did not bring.
"""

import contextlib
import fcntl
import os
import sys
import termios
import time
from pathlib import Path

import numpy as np

PERIOD, RATE_HZ = 12_000, 48_000
"""Of arecord, as the node asks for it."""
HEADER_BYTES = 44
PIPE_BYTES = 1 << 18
"""Much more than is written: a read that finds a part of a period has silence for the rest."""


def carry(wav: Path, fifo: Path, cut: Path) -> None:
    """Write what the microphone hears, a period at a time."""
    partial = wav.with_name(wav.name + ".partial")
    rng, descriptor = np.random.default_rng(1), os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    waits = bytearray(4)
    due_s, at, inode = time.monotonic(), 0, 0
    waiting = np.zeros(0)
    while True:
        due_s += PERIOD / RATE_HZ
        time.sleep(max(0.0, due_s - time.monotonic()))
        new = np.zeros(0)
        with contextlib.suppress(FileNotFoundError), partial.open("rb") as file:
            if os.fstat(file.fileno()).st_ino != inode:  # the node began anew
                inode, at = os.fstat(file.fileno()).st_ino, HEADER_BYTES
            file.seek(at)
            data = file.read()
            at += len(data) & ~1
            new = np.frombuffer(data[: len(data) & ~1], "<i2") / 32768.0
        if not waiting.size:  # what was silent is late in the file: it is made here
            loud = np.flatnonzero(new)
            new = new[loud[0] :] if loud.size else new[:0]
        waiting = np.concatenate((waiting, new))
        sound, waiting = waiting[:PERIOD], waiting[PERIOD:]
        heard = 0.003 * (1 + 0.3 * np.sin(due_s / 3)) * rng.standard_normal(PERIOD)  # a place moves
        if not cut.exists():
            heard[: sound.size] += 0.1 * sound
        fcntl.ioctl(descriptor, termios.FIONREAD, waits)
        if int.from_bytes(waits, sys.byteorder) <= PIPE_BYTES // 2:  # somebody listens
            os.write(descriptor, np.rint(heard * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    carry(*(Path(one) for one in sys.argv[1:]))
