"""The tone of a self-test: how it sounds, and whether it came back.

```
           1 s before │ tone ──────────────────────────│        after
 captured  noise      │ way │ the tone, if it is heard │ way │  noise
           └── of its frequency, before and after, and of those beside it meanwhile
```
The power at one frequency is what Goertzel's recurrence yields (Am. Math. Monthly 65, 1958), in
blocks of 50 ms: clocks that differ by 100 ppm are then 0.1 of a period apart at 20 kHz. Sound that
is no tone is in the frequencies beside it too, and a tone that others make does not begin and end
with ours.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.events import LoopVerdict, Word
from node.hearing.fitness import db_of, level_dbfs, unfit
from node.hearing.match import EARLY_NS, WAY_S
from node.units import NS_PER_S, RATE_HZ

BLOCK_S: Final = 0.05
BESIDE_HZ: Final = (-140.0, -100.0, 100.0, 140.0)
"""Whole multiples of the 20 Hz of a block: the tone is in none of them."""

LEAD_S: Final = 1.0
TAIL_S: Final = 0.5
"""Of noise, before the tone and after all of it has come."""

FADE_MS: Final = 20
"""It begins and ends softly: no click, and nothing beside its frequency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """One of the two tones of a loop."""

    frequency_hz: float
    level_dbfs: float
    length_s: float
    threshold_db: float
    """So much above the noise at its frequency it is heard."""
    reference_db: float | None
    """Gain from the node's full scale to the capture's when all was well; None: never measured."""
    tolerance_db: float
    """Below the reference."""
    is_certain: bool = True
    """Whether a horn that is alive gives it, also where it was never measured."""

    def wave(self) -> NDArray[np.float32]:
        """Return how it sounds: (n,) float32, full scale 1.0, 48 kHz."""
        at = np.arange(round(self.length_s * RATE_HZ))
        edge = np.minimum(np.minimum(at, at[::-1]) / (FADE_MS * RATE_HZ / 1000), 1.0)
        sine = np.sin(2 * np.pi * self.frequency_hz / RATE_HZ * at)
        return np.asarray(10 ** (self.level_dbfs / 20) * edge * sine, np.float32)

    @property
    def least_gain_db(self) -> float | None:
        """Gain below which it is not this horn as it was when all was well; None: nobody knows."""
        return None if self.reference_db is None else self.reference_db - self.tolerance_db

    @property
    def captured_s(self) -> float:
        """How much `judge` wants of the capture."""
        return LEAD_S + self.length_s + WAY_S + TAIL_S

    @property
    def captured_from_ns(self) -> int:
        """Where that begins, against the tone."""
        return -round(LEAD_S * NS_PER_S) - EARLY_NS


def tone_powers(
    sound: NDArray[np.float32], rate_hz: int, frequency_hz: float
) -> NDArray[np.float64]:
    """Return the power at one frequency of each block of 50 ms: (n,) float64, a full sine is 1.

    sound  (n,) float32, full scale 1.0
    """
    n = round(BLOCK_S * rate_hz)
    blocks = sound[: sound.size // n * n].reshape(-1, n).astype(np.float64)
    turn = 2 * np.pi * frequency_hz / rate_hz * np.arange(n)
    within = blocks @ np.cos(turn), blocks @ np.sin(turn)
    return np.asarray((2 / n) ** 2 * (within[0] ** 2 + within[1] ** 2))


def judge_tone(
    captured: NDArray[np.float32], tone: Tone, *, rate_hz: int, begin_ns: int, noise_max_dbfs: float
) -> LoopVerdict:
    """Return whether `tone`, which left the node at `begin_ns`, is in `captured`.

    captured  (n,) float32, full scale 1.0: `tone.captured_s` from `tone.captured_from_ns` on
    """
    end_ns = begin_ns + round(tone.length_s * NS_PER_S)
    level = level_dbfs(captured)
    if why := unfit(captured):
        return LoopVerdict("cannot tell", begin_ns, end_ns, level_dbfs=level, why=why, is_tone=True)
    during, noise = _heights(captured, tone, rate_hz)
    margin_db = db_of(during / max(noise, 1e-12)) - tone.threshold_db
    gain_db = db_of(during) - tone.level_dbfs
    word, why = _word(tone, margin_db, gain_db, db_of(noise), level - noise_max_dbfs)
    return LoopVerdict(word, begin_ns, end_ns, margin_db, level, gain_db, why, is_tone=True)


def _heights(captured: NDArray[np.float32], tone: Tone, rate_hz: int) -> tuple[float, float]:
    """Return the power at the tone's frequency while it must be there, and that of the noise."""
    powers = tone_powers(captured, rate_hz, tone.frequency_hz)
    beside = [tone_powers(captured, rate_hz, tone.frequency_hz + one) for one in BESIDE_HZ]
    before, first, last, after = (
        round(seconds / BLOCK_S)
        for seconds in (
            LEAD_S - 0.1,
            LEAD_S + WAY_S,
            LEAD_S + tone.length_s,
            LEAD_S + tone.length_s + WAY_S,
        )
    )
    meanwhile = float(np.mean([one[first:last] for one in beside]))
    noise = max(float(powers[:before].mean()), float(powers[after:].mean()), meanwhile)
    return float(np.median(powers[first:last])), noise


def _word(
    tone: Tone, margin_db: float, gain_db: float, noise_dbfs: float, above_max_db: float
) -> tuple[Word, str]:
    """Return what to say of a tone, and why."""
    wanted_db = tone.reference_db
    if margin_db >= 0:
        if wanted_db is None or gain_db >= wanted_db - tone.tolerance_db:
            return "heard", ""
        return "not heard", f"{wanted_db - gain_db:.0f} dB softer than when all was well"
    if wanted_db is None:
        if not tone.is_certain:
            return "cannot tell", "no reference says that this horn gives it"
        is_drowned = above_max_db > 0
    else:
        is_drowned = noise_dbfs + tone.threshold_db > tone.level_dbfs + wanted_db
    return ("cannot tell", "noise") if is_drowned else ("not heard", "")
