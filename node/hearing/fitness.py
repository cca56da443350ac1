"""Whether a capture is fit to be judged, and how loud it is."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

CLIPPED_SHARE: Final = 0.001
"""Of the samples at full scale: more is no sound any more, but what the converter made of it."""

_FULL: Final = 0.999
_STILL: Final = 1e-6
"""Below the last bit of 24: no converter is so quiet, so nothing is converted."""
_OFFSET: Final = 0.5


def unfit(captured: NDArray[np.float32]) -> str:
    """Return why nothing can be heard in `captured`, or nothing where it can.

    captured  (n,) float32, full scale 1.0
    """
    mean = float(captured.mean()) if captured.size else 0.0
    if captured.size == 0 or float(np.abs(captured - captured[0]).max()) <= _STILL:
        return "the capture is dead: each sample is the same"
    if abs(mean) > _OFFSET:
        return f"the capture stands at {mean:+.2f} of full scale"
    share = np.count_nonzero(np.abs(captured) >= _FULL) / captured.size
    if share > CLIPPED_SHARE:
        return f"the capture clips, {100 * share:.1f} % of it: lower its gain"
    return ""


def db_of(power: float) -> float:
    """Return a ratio of powers in dB, -120 at least."""
    return 10 * float(np.log10(max(power, 1e-12)))


def level_dbfs(sound: NDArray[np.float32]) -> float:
    """Return the level of `sound` without its mean, re a sine at full scale.

    sound  (n,) float32, full scale 1.0
    """
    return db_of(2 * float(np.var(sound, dtype=np.float64)))
