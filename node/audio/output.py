"""From the mix to the converter: gain, what the horn takes, what the amplifier sheds, limiter.

```
mix ─► gain ─► high-pass ─► power limit ─► limiter (LATENCY_SAMPLES later) ─► DAC
               └── off unless configured ──┘
```
The limiter is last, so that nothing before it can pass its limit. What is not configured costs
nothing and touches no sample.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.gain import apply_ramp, gain_of_db
from node.audio.limiter import LATENCY_SAMPLES, Limiter
from node.audio.protection import Protection
from node.config import AudioConfig
from node.units import samples_to_ns

SINE_DB: Final = -3.0103
"""Mean square of a full-scale sine re full scale."""

LATENCY_NS: Final = samples_to_ns(LATENCY_SAMPLES)
"""What the limiter holds back is asked of the sources so much ahead."""

_LONG_AGO_SAMPLES: Final = 1 << 40
_NO_LIMIT_DB: Final = 60.0


class Output:
    """The last stages of a node's sound; `process` works in place.

    Parameters
    ----------
    config : AudioConfig
        Table `[audio]`.
    counts_only : bool
        It is silent, and costs nothing.
    """

    def __init__(self, config: AudioConfig, *, counts_only: bool = False) -> None:
        self._counts_only = counts_only
        self._draining_samples = -_LONG_AGO_SAMPLES
        """What the limiter still holds back; below 0: for so long nothing."""
        self._limiter = (
            None if counts_only else Limiter(config.channels, limit_dbfs=config.limit_dbfs)
        )
        self._channels = config.channels
        self._gain = gain_of_db(config.gain_db)
        self._protection: Protection | None = None
        self._rested_samples = 0
        if config.high_pass_hz is not None or config.power_limit_db is not None:
            limit_db = config.power_limit_db
            self._protection = Protection(
                config.channels,
                cutoff_hz=config.high_pass_hz,
                power_limit_db=_NO_LIMIT_DB if limit_db is None else limit_db + SINE_DB,
            )

    def process(self, out: NDArray[np.float32]) -> None:
        """Bring sound to what may leave the converter, in place.

        out  (n, channels) float32, full scale 1.0
        """
        if self._gain != 1.0:
            apply_ramp(out, self._gain, self._gain, 1.0)
        if self._protection is not None:
            if self._rested_samples:
                self._protection.rest(self._rested_samples)
                self._rested_samples = 0
            self._protection.process(out)
        assert self._limiter is not None, "what is silent is not processed"
        self._limiter.process(out)

    def finish(self, out: NDArray[np.float32], *, sounds: bool) -> None:
        """Bring a period to what may leave the converter; where nothing `sounds` it is silent.

        out  (n, channels) float32, full scale 1.0
        """
        n = out.shape[0]
        if sounds:
            self._draining_samples = LATENCY_SAMPLES
        else:
            out[:] = 0.0
            self._draining_samples -= n
        if self._counts_only:
            return
        if self._draining_samples > -n:
            self.process(out)
        else:
            self.rest(n)

    def finish_periods(self, periods: NDArray[np.float32]) -> None:
        """Bring many periods that sound to what may leave the converter, one after the other.

        periods  (periods, n, channels) float32, full scale 1.0
        """
        if self._counts_only:
            return
        self._draining_samples = LATENCY_SAMPLES
        if self._gain == 1.0 and self._protection is None and self._limiter is not None:
            self._limiter.process_periods(periods)
            return
        for out in periods:
            self.process(out)

    @property
    def silent_samples(self) -> int:
        """For how long nothing has come out of it; below 0: what the limiter still holds back."""
        return -self._draining_samples

    def rest(self, samples: int) -> None:
        """Note that so many samples of silence left the converter: what is warm cools down."""
        self._rested_samples += samples

    def end(self) -> None:
        """Let go of what the limiter still holds: it is no beginning of what comes next."""
        if not self._counts_only:
            self.process(np.zeros((LATENCY_SAMPLES, self._channels), np.float32))

    @property
    def power_reduction_db(self) -> float:
        """Return by how much the power limit lowers the sound now, 0 or more."""
        return 0.0 if self._protection is None else self._protection.reduction_db
