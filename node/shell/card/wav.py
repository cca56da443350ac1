"""A WAV file that is either whole under its name, or not there."""

import contextlib
import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from node.shell.faults import ShellError, file_fault
from node.units import RATE_HZ

_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_SAMPLE_BYTES: Final = 2
_SILENCE_BYTES: Final = RATE_HZ
"""So much silence, half a second of one channel, is written at once."""
_SOUND_BYTES_MAX: Final = 0xFFFFFFFF - _HEADER.size
"""The header counts bytes in 32 bits: 12 hours of one channel."""


class WavWriter:
    """Write 16-bit PCM at 48 kHz beside `path`, and give it that name when it is whole.

    Parameters
    ----------
    path : Path
        Final name; the sound is in `path` + ".partial" until `close`.
    channels : int
        Of the sound.

    Raises
    ------
    ShellError
        If the file cannot be made.
    """

    def __init__(self, path: Path, *, channels: int) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._channels = channels
        self._bytes = 0
        self._silent_bytes = 0
        if path.is_dir():
            raise file_fault(path, IsADirectoryError(21, "is a folder"))
        try:
            self._file: BinaryIO = open(self._partial, "wb")  # noqa: SIM115  # closed in close()
            self._file.write(self._header())
        except OSError as fault:
            raise file_fault(path, fault) from fault

    def write(self, sound: NDArray[np.float32]) -> None:
        """Append `sound`, (n, channels) float32 at full scale 1.0.

        Raises
        ------
        ShellError
            If the disk is full or the file has reached 4 GiB.
        """
        if self._bytes + _SAMPLE_BYTES * sound.size > _SOUND_BYTES_MAX:
            raise ShellError(f"{self._path}: a WAV file ends at 4 GiB; give --duration")
        self._bytes += _SAMPLE_BYTES * sound.size
        if not np.count_nonzero(sound):  # most of a day
            self._silent_bytes += _SAMPLE_BYTES * sound.size
            if self._silent_bytes < _SILENCE_BYTES:
                return
            samples = b""
        else:
            samples = np.clip(np.rint(sound * 32768.0), -32768, 32767).astype("<i2").tobytes()
        try:
            self._file.write(bytes(self._silent_bytes) + samples)
        except OSError as fault:
            raise file_fault(self._path, fault) from fault
        self._silent_bytes = 0

    def close(self) -> None:
        """Write the final header, and give the file its name.

        Raises
        ------
        ShellError
            If the disk is full; the unfinished file is removed.
        """
        try:
            self._file.write(bytes(self._silent_bytes))
            self._file.seek(0)
            self._file.write(self._header())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._partial, self._path)
        except OSError as fault:
            self.abandon()
            raise file_fault(self._path, fault) from fault

    def abandon(self) -> None:
        """Remove the unfinished file."""
        # The bytes that could not be flushed are the ones we throw away.
        with contextlib.suppress(OSError):
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _header(self) -> bytes:
        width = 2 * self._channels
        return _HEADER.pack(
            *(b"RIFF", _HEADER.size - 8 + self._bytes, b"WAVE", b"fmt ", 16, 1),
            *(self._channels, RATE_HZ, RATE_HZ * width, width, 16, b"data", self._bytes),
        )
