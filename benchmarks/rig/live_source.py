"""A source that writes into a pipe at its own pace, as a microphone's program does."""

import contextlib
import fcntl
import io
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.rig.jack_rig import RigError

_READER_S: Final = 10.0


class LiveSource:
    """Write blocks into a named pipe, each at its time; what the pipe refuses is lost.

    Parameters
    ----------
    pipe : Path
        It may not exist yet.
    stays : bool
        Keep the pipe, and what is in it, when its reader ends.
    holds_bytes : int or None
        What the pipe takes while nobody reads; None leaves the kernel's 65536.
    """

    def __init__(self, pipe: Path, *, stays: bool, holds_bytes: int | None = None) -> None:
        self.pipe = pipe
        self._stays = stays
        self._holds_bytes = holds_bytes
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._begin_s = 0.0

    def start(self, blocks: Sequence[bytes], period_s: float) -> None:
        """Start to write as soon as somebody reads."""
        self._begun.clear()
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, args=(blocks, period_s), daemon=True)
        self._thread.start()

    def begun_s(self) -> float:
        """Wait for the reader; return when the first block was due, monotonic s."""
        if not self._begun.wait(_READER_S):
            raise RigError("nobody opened the pipe: run the server by hand, read what it says")
        return self._begin_s

    def stop(self) -> None:
        """Stop, if it writes."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(1)

    def _run(self, blocks: Sequence[bytes], period_s: float) -> None:
        while not self.pipe.exists():
            time.sleep(0.01)
        # Blocks until somebody reads: snapserver opens the pipe, finds nobody, and tries again.
        with self.pipe.open("wb", buffering=0) as pipe, contextlib.ExitStack() as held:
            if self._holds_bytes is not None:
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, self._holds_bytes)
            if self._stays:
                held.callback(os.close, os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK))
            os.set_blocking(pipe.fileno(), False)
            self._begin_s = time.monotonic()
            self._begun.set()
            with contextlib.suppress(BrokenPipeError):
                self._write(pipe, blocks, period_s)

    def _write(self, pipe: io.FileIO, blocks: Sequence[bytes], period_s: float) -> None:
        for number, block in enumerate(blocks):
            if self._ended.wait(max(0.0, self._begin_s + number * period_s - time.monotonic())):
                return
            pipe.write(block)  # None, and lost, where full


def mp2_frames(sound: NDArray[np.float32]) -> tuple[list[bytes], float]:
    """Return sound at 48 kHz as MPEG-1 layer II frames, and the duration of one in s.

    sound  (n,) float32, full scale 1.0

    Of what FFmpeg reads, this can be taken up in the middle of the stream, as by a new reader.
    """
    encoder = av.CodecContext.create("mp2", "w")
    encoder.sample_rate = 48_000
    encoder.layout = "mono"
    encoder.format = "s16"
    encoder.bit_rate = 192_000
    encoder.open()
    size = encoder.frame_size
    frames = []
    for begin in range(0, sound.size - size + 1, size):
        part = (sound[None, begin : begin + size] * 32767).astype("<i2")
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate = 48_000
        frame.pts = begin
        frames += [bytes(packet) for packet in encoder.encode(frame)]
    return frames, size / 48_000
