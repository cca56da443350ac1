"""Keep Python's own housekeeping away from the sound."""

import gc
import sys
from typing import Final

SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread that computes in Python may keep the sound waiting; Python's own 5 ms are half
of a period."""


def keep_steady() -> None:
    """Call once, when all is loaded and before the first sound.

    Python looks now and then through all objects for garbage, and no thread runs meanwhile. The
    compiled kernels keep 140,000, for which it takes 130 ms: as good as surely once within the
    first seconds of sound. What is there now stays to the end, and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # a full pass comes due by the size of the last one: let that be of what is new
    sys.setswitchinterval(SWITCH_INTERVAL_S)
