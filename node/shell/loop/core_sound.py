"""The core asked for sound on the audio thread, and left alone while nothing can sound.

An idle node asks a hundred times a second for silence. What that costs is not the work but the way
through all layers with cold caches. So a core that says that it rests is not asked again before
somebody has taken its lock: whatever comes, or is due, does.
"""

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from node.shell.card.sound_watch import SoundWatch
from node.shell.pace import Pace

if TYPE_CHECKING:
    from node.joined import Speaker


class CoreLock:
    """The core's one lock; who holds it may let something sound."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rests = False
        """Nobody has held it since the core said that it rests."""

    def __enter__(self) -> None:
        self._lock.acquire()
        self.rests = False

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class CoreSound:
    """What the sink asks for sound.

    Parameters
    ----------
    speaker : Speaker
        The core.
    lock : CoreLock
        Its lock.
    pace, watch
        Told that it sounds, and that the sink asked.
    """

    def __init__(self, speaker: "Speaker", lock: CoreLock, pace: Pace, watch: SoundWatch) -> None:
        self._speaker = speaker
        self._lock = lock
        self._pace = pace
        self._watch = watch
        self._rested_samples = 0

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out`, (n, channels) float32, whose first sample leaves the DAC at that instant."""
        if self._lock.rests:
            out.fill(0.0)
            self._rested_samples += out.shape[0]
        else:
            with self._lock:
                if self._rested_samples:
                    self._speaker.rests(self._rested_samples)
                    self._rested_samples = 0
                self._speaker.render(out, presentation_ns)
                self._lock.rests = self._speaker.rests()
            self._pace.note_sound(out)
        self._watch.periods += 1
