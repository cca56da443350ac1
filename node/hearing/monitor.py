"""What left the node, kept for the loop to compare with; and the tone of a self-test, over silence.

On the audio thread: nothing is allocated where nothing begins. A tone gives way to whatever sounds,
and ends at once, within 20 ms and without a click, when it may not.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.hearing.match import WAY_S, WINDOW_S
from node.hearing.sound_ring import SoundRing
from node.hearing.tone import FADE_MS, Tone
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ

DELAY_NS: Final = 1_500 * NS_PER_MS
"""From the call to the tone: so long the loop listens to the place without it."""

_FALL: Final = np.linspace(1, 0, FADE_MS * RATE_HZ // 1000, dtype=np.float32)
_SLACK_NS: Final = NS_PER_MS
_LATE_NS: Final = 5 * NS_PER_S
"""A tone that has not begun so long after its time never does: nothing asks for sound."""


class Monitor:
    """Between the core's sound and the card.

    Parameters
    ----------
    tones : (Tone, Tone)
        The one that may be heard, and the silent one.
    """

    def __init__(self, tones: tuple[Tone, Tone]) -> None:
        self.tones = tones
        self.played = SoundRing(
            RATE_HZ, 2 * (WINDOW_S + WAY_S) + 2, slack_ns=_SLACK_NS, late_ppm=1_000_000
        )
        self._waves = tuple(one.wave() for one in tones)
        self._wave: NDArray[np.float32] | None = None
        self._due_ns = self._at = 0
        self.tone: Tone | None = None
        """The one that is under way, or was last."""
        self.tone_ns = 0
        """When it began to leave the node; 0: it has not."""
        self.is_cut = False
        """Something else was to sound, nothing may, or nothing asked for sound."""
        self.tones_begun = 0

    def begin_tone(self, ready_ns: int, *, silent: bool) -> None:
        """Let a tone sound soon after, in place of one that is under way."""
        self.tone, self.tone_ns, self.is_cut = self.tones[silent], 0, False
        self._due_ns, self._at = ready_ns + DELAY_NS, 0
        self._wave = self._waves[silent]
        self.tones_begun += 1

    def end_tone(self) -> None:
        """Let it die away now; where none has begun none will."""
        wave, at = self._wave, self._at
        if wave is None:
            return
        rest = wave[at : at + _FALL.size]
        self._wave = np.concatenate((wave[:at], rest * _FALL[: rest.size])) if at else None
        self.is_cut = True

    def process(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Keep what leaves the node, and add the tone where nothing else sounds.

        out  (n, channels) float32, full scale 1.0
        """
        self.played.write(out[:, 0], presentation_ns)
        wave = self._wave
        if wave is None or presentation_ns < self._due_ns:
            return
        if out.any() or presentation_ns > self._due_ns + _LATE_NS:
            self._wave, self.is_cut = None, True
            return
        if self._at == 0:
            self.tone_ns = presentation_ns
        part = wave[self._at : self._at + out.shape[0]]
        out[: part.size] = part[:, np.newaxis]
        self._at += out.shape[0]
        if self._at >= wave.size:
            self._wave = None

    @property
    def rests(self) -> bool:
        """Whether no tone is under way or to come."""
        return self._wave is None
