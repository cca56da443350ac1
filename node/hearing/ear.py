"""The loop's judgement: what was captured against what left the node, a second at a time.

```
 played    ├─ 2 s ─┤         next window 1 s later
 captured  ├─ 2 s ─┼─ 1 s ─┤ ◄── when so much has come the window is judged
```
On the thread of the capture; the sound waits for none of it.
"""

from collections import deque
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.events import LoopVerdict
from node.hearing.fitness import unfit
from node.hearing.match import EARLY_NS, WAY_S, WINDOW_S, judge
from node.hearing.monitor import Monitor
from node.hearing.sound_ring import SoundRing
from node.hearing.stillness import Stillness
from node.hearing.tone import judge_tone
from node.units import NS_PER_MS, NS_PER_S

HOP_NS: Final = NS_PER_S
CUT_OFF: Final = "it was cut off: something else was to sound, or nothing may"
HEARS_NOTHING: Final = "it hears nothing: it has hissed on for a minute or more, whatever sounded"
"""Of a microphone that is deaf: whether the horn sounded nobody knows."""
VERDICTS_MAX: Final = 64
"""Not yet taken: a minute of them. The oldest goes."""

_SLACK_NS: Final = 500 * NS_PER_MS
"""Blocks that come so late come late; later, and some were lost."""
_LATE_PPM: Final = 500
"""Crystals differ by less."""
_RING_S: Final = 12.0
_WINDOW_NS: Final = int(WINDOW_S * NS_PER_S)
_WANTED_NS: Final = _WINDOW_NS + int(WAY_S * NS_PER_S) - EARLY_NS
"""From the beginning of a window to the last of the capture that is compared with it."""


class Ear:
    """Compare a capture with what `monitor` saw leave.

    Parameters
    ----------
    monitor : Monitor
        Written by the audio thread.
    rate_hz : int
        Of the capture.
    noise_max_dbfs : float
        Above it nobody is blamed for not being heard.
    may_be_still : bool
        What it listens to may be still for ever, as a line in which no current flows.
    """

    def __init__(
        self, monitor: Monitor, *, rate_hz: int, noise_max_dbfs: float, may_be_still: bool = False
    ) -> None:
        self._monitor = monitor
        self._noise_max_dbfs = noise_max_dbfs
        self._captured = SoundRing(rate_hz, _RING_S, slack_ns=_SLACK_NS, late_ppm=_LATE_PPM)
        self._stillness = None if may_be_still else Stillness(rate_hz)
        self._is_deaf = False
        self._before: NDArray[np.float32] | None = None
        self._next_ns = 0
        """Beginning of the window that is judged next."""
        self._silent = 0
        """Windows in which nothing was played, one after another."""
        self._tones = 0
        """Tones that were judged."""
        self.fault = ""
        """Why nothing can be heard in what was captured last."""
        self._verdicts: deque[LoopVerdict] = deque(maxlen=VERDICTS_MAX)

    def receive_captured(self, sound: NDArray[np.float32], now_ns: int) -> None:
        """Take what was captured until now.

        sound  (n,) float32, full scale 1.0
        """
        length_ns = sound.size * NS_PER_S // self._captured.rate_hz
        self._captured.write(sound, now_ns - length_ns)
        if self._stillness is not None:
            self._stillness.receive(sound)
        end_ns = self._captured.end_ns
        self._next_ns = max(self._next_ns, end_ns - _WANTED_NS - 2 * HOP_NS)
        while end_ns >= self._next_ns + _WANTED_NS:
            self._judge(self._next_ns)
            self._next_ns += HOP_NS
        self._judge_tone(end_ns)

    def next_event(self) -> LoopVerdict | None:
        """Return the oldest verdict not yet taken, or None."""
        return self._verdicts.popleft() if self._verdicts else None

    def _judge(self, begin_ns: int) -> None:
        """Judge one window; a pause has no verdict."""
        played = self._monitor.played.read(begin_ns, WINDOW_S)
        from_ns, wanted_s = begin_ns - EARLY_NS, WINDOW_S + WAY_S
        is_whole = self._captured.whole_ns <= from_ns
        captured = self._captured.read(from_ns, wanted_s)
        self.fault = unfit(captured) if is_whole else ""
        if self._is_deaf and not self.fault:
            self._is_deaf = self._is_still()
            self.fault = HEARS_NOTHING if self._is_deaf else ""
        if not played.any():
            self._silent += 1
            if self._silent > 2 and is_whole and self._monitor.rests:
                self._before = captured
            return
        self._silent = 0
        found = judge(
            played,
            captured,
            self._before,
            rate_hz=self._captured.rate_hz,
            begin_ns=begin_ns,
            noise_max_dbfs=self._noise_max_dbfs,
            least_gain_db=self._monitor.tones[0].least_gain_db,
        )
        if found is not None and not is_whole:
            why = "nothing was captured for a while"
            found = LoopVerdict("cannot tell", begin_ns, begin_ns + _WINDOW_NS, why=why)
        if found is not None:
            self._tell(found)

    def _tell(self, found: LoopVerdict) -> None:
        """Tell of one look; one that found nothing, of a microphone that is deaf, knows nothing."""
        if found.word == "heard" and self._stillness is not None:
            self._stillness.forget()
        elif found.word == "not heard" and self._is_still():
            self._is_deaf = True
            found = replace(found, word="cannot tell", why=HEARS_NOTHING)
        self._verdicts.append(found)

    def _is_still(self) -> bool:
        return self._stillness is not None and self._stillness.is_still

    def _judge_tone(self, end_ns: int) -> None:
        """Judge a tone when all of it must have come."""
        monitor = self._monitor
        tone, begin_ns = monitor.tone, monitor.tone_ns
        if tone is None or monitor.tones_begun == self._tones or not monitor.rests:
            return
        from_ns = begin_ns + tone.captured_from_ns
        why = CUT_OFF if monitor.is_cut else ""
        if not why and end_ns < from_ns + round(tone.captured_s * NS_PER_S):
            return
        if not why and self._captured.whole_ns > from_ns:
            why = "nothing was captured for a while"
        if why:
            found = LoopVerdict("cannot tell", begin_ns, begin_ns, why=why, is_tone=True)
        else:
            found = judge_tone(
                self._captured.read(from_ns, tone.captured_s),
                tone,
                rate_hz=self._captured.rate_hz,
                begin_ns=begin_ns,
                noise_max_dbfs=self._noise_max_dbfs,
            )
        self._tones = monitor.tones_begun
        self._tell(found)
