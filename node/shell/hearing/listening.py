"""The loop of a running node: its capture judged on its thread, and told to the core by the loop.

```
 capture thread:  samples ─► Ear ─► verdicts (64 at most)
 loop thread:     verdicts ─► core ─► records, self-tests, and whether the horn is at fault
```
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from node.hearing.ear import Ear
from node.hearing.monitor import Monitor
from node.shell.health import Health
from node.shell.hearing.capture import Capture
from node.shell.hearing.settings import LoopConfig
from node.shell.loop.core_sound import CoreLock

if TYPE_CHECKING:  # its import takes what joins
    from node.governed import GovernedSpeaker

SILENT_HORN: Final = "loop hears nothing"
DEAF: Final = "loop capture"
"""Names of the two faults: of the horn, and of who listens to it."""

TORN: Final = "the card tore the sound"
"""What underruns have cut into pieces and moved apart is not to be found as a whole."""


class Listening:
    """Listen to the horn of `speaker`.

    Parameters
    ----------
    config : LoopConfig
        Of a loop that is wired.
    monitor : Monitor
        What `speaker` lets see what it plays.
    speaker : GovernedSpeaker
        The core.
    """

    def __init__(self, config: LoopConfig, monitor: Monitor, speaker: "GovernedSpeaker") -> None:
        self._speaker = speaker
        self._ear = Ear(
            monitor,
            rate_hz=config.rate_hz,
            noise_max_dbfs=config.noise_max_dbfs,
            may_be_still=config.kind == "current",
        )
        self._capture = Capture(config, self._take)
        self._kind = config.kind
        self._verdicts = 0
        self._underruns = self._torn_ns = 0
        """Of the card, and when they were noted last."""
        self._fault: str | None = None
        """Of the horn."""
        self._deaf: str | None = None
        """What is wrong with the capture."""

    def start(self) -> None:
        """Begin to listen."""
        self._capture.start()

    def close(self) -> None:
        """End."""
        self._capture.close()

    def follow(self, lock: CoreLock, health: Health, underruns: int, now_ns: int) -> None:
        """Tell the core what was heard, and `health` what is wrong; the card had `underruns`."""
        if underruns != self._underruns:
            self._underruns, self._torn_ns = underruns, now_ns
        while (verdict := self._ear.next_event()) is not None:
            self._verdicts += 1
            if verdict.word == "not heard" and verdict.begin_ns <= self._torn_ns:
                verdict = replace(verdict, word="cannot tell", why=TORN)
            with lock:
                self._fault = self._speaker.receive_verdict(verdict, now_ns)
        health.note(SILENT_HORN, self._fault, now_ns)
        self._deaf = self._capture.fault(now_ns) or self._ear.fault or None
        health.note(DEAF, self._deaf, now_ns)

    def status(self) -> dict[str, object]:
        """Return what a person wants to know, JSON-able."""
        told = {"kind": self._kind, "verdicts": self._verdicts, "losses": self._capture.losses}
        return told | {"said": self._capture.said, "fault": self._deaf}

    def _take(self, sound: NDArray[np.float32], now_ns: int) -> None:
        self._ear.receive_captured(sound, now_ns)
