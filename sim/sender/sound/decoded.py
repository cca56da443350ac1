"""What can be decoded of one file, over what is damaged in it: the rest of the sound, and no noise.

FFmpeg's decoders have errors of every kind for damage, some that are otherwise of the disk ("no
permission"), and give what a wrong bit makes of the sound where nothing forbids it.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import av
import numpy as np

from sim.sender.sound.sound_shape import numbers_of

_FAULTS_MAX: Final = 256
"""Places one after another in which nothing can be found: what follows is no sound."""

_DAMAGE: Final = (
    av.InvalidDataError,
    av.PatchWelcomeError,
    av.BugError,
    av.BlockingIOError,  # of a transport stream: no packet was found so far
    ValueError,
)
"""What a demuxer says of damage; all else is said of the disk, or of the connection."""

_CHECKED: Final = {"flac": {"err_detect": "crccheck+explode"}}
"""Codecs with a checksum of each frame: what does not have its own is left out."""

_PEAK_MAX: Final = 4.0
"""12 dB above full scale: no encoder made that, a wrong bit did."""
_PLAIN_PEAK_MAX: Final = 16.0
"""Of plain samples, which may stand in a mix before it is brought down; beyond are integers."""

_TELLING: Final = frozenset({"wav", "flac", "aiff", "au", "mov", "matroska"})
"""Formats whose header says how long the sound is; of others FFmpeg estimates it."""

_MISSING_S: Final = 0.5
_MISSING_RATIO: Final = 0.02
"""So much less than the header says may be a matter of counting."""


def frames_of(
    container: Any, count_damage: Callable[[], None], note_end: Callable[[int], None]
) -> Iterator[Any]:
    """Yield what can be decoded of the first sound in `container`; note where each packet ended.

    Raises
    ------
    OSError, av.FFmpegError
        If the disk or the connection fails.
    """
    if not container.streams.audio:
        return
    stream = container.streams.audio[0]
    codec = stream.codec_context
    codec.options = _CHECKED.get(codec.name, {})
    peak_max = _PLAIN_PEAK_MAX if codec.name.startswith("pcm_") else _PEAK_MAX
    failures = 0
    packets = container.demux(stream)
    while failures < _FAULTS_MAX:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except _DAMAGE:
            failures += 1
            count_damage()
            packets = container.demux(stream)  # that generator has ended; this one goes on
            continue
        failures = 0
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            count_damage()
            continue
        for frame in frames:
            if _is_sound(frame, peak_max):
                if packet.pos is not None and packet.pos >= 0:
                    note_end(packet.pos + packet.size)
                yield frame
            else:
                count_damage()


def said_s_of(container: Any) -> float | None:
    """Return how long the header says that the sound is, in s; None where it does not."""
    if container.duration is None or not _TELLING & set(container.format.name.split(",")):
        return None
    return float(container.duration / av.time_base)


def missing_s(said_s: float, played_s: float) -> float:
    """Return how much less was played than was said, in s; 0 where it is all."""
    missing = said_s - played_s
    return missing if missing > max(_MISSING_S, _MISSING_RATIO * said_s) else 0.0


def _is_sound(frame: Any, peak_max: float) -> bool:
    """Return whether that may have been meant; what is of integers cannot go beyond."""
    if not frame.format.name.startswith(("flt", "dbl")) or frame.samples <= 0:
        return True
    # What is no number is left to the next stage: it goes beyond nothing.
    return not bool((np.abs(numbers_of(frame)) > peak_max).any())
