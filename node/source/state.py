"""The places of a source's own state, the results of its kernels, and the rows of its journal."""

from typing import Final

from node.units import PACKET_SAMPLES_MAX

# The receiver's own state, index into (RECEIVER_STATE,) int64.
RUNNING: Final = 0
"""0 before the first period, 1 from then on."""
FILLED: Final = 1
"""Rows of the FIFO that hold sound."""
STEP_Q32: Final = 2
"""Step of the resampler in this period."""
PLANNED: Final = 3
"""1 while a period is under way: its step is chosen, its sound not yet complete."""
HARD_RESYNCS: Final = 4
FADE: Final = 5
"""How this period is ramped: `NO_FADE`, `FADE_OUT` before a jump, `FADE_IN` after it."""
GENERATION: Final = 6
"""Sender restarts seen; when the jitter buffer counts a further one, this source jumps there."""
JOURNAL_WRITTEN: Final = 7
PERIOD_NS: Final = 8
"""Presentation time of the period under way."""
POSITION_Q16: Final = 9
"""Media position of its first sample."""
COUNT_ONLY: Final = 10
"""1: nobody listens; decide and count everything, but decode and resample nothing."""
ERROR_Q16: Final = 11
"""Where the sound should be, less where it is, at the start of the last period."""
ERROR_MAX_Q16: Final = 12
LAST_SOUND_NS: Final = 13
"""Presentation time at which the last received sound ends; -1 before any."""
PERIOD_END_NS: Final = 14
"""Where the next period should begin; a card that stalled goes on later than that."""
RECEIVER_STATE: Final = 16

NO_FADE: Final = 0
FADE_OUT: Final = 1
FADE_IN: Final = 2

FIFO_SAMPLES: Final = 2 * PACKET_SAMPLES_MAX + 8192
"""Two of the longest packets, and the longest period that a sound card asks for."""
PERIOD_SAMPLES_MAX: Final = 4096

DONE: Final = -1
"""`advance` filled the period. Other results are the jitter buffer's actions, to be decoded."""

# Results of `receive`.
OTHER_SOURCE: Final = -16
OTHER_PAYLOAD: Final = -17
BAD_FRAMING: Final = -18
TOO_LARGE: Final = -19
NOT_RTP: Final = -20
NO_SOUND: Final = -28
"""Padding or nothing at all: a packet that keeps a path open."""

# The journal: one row per chunk that was not a pause.
JOURNAL_ROWS: Final = 4096
JOURNAL_FIELDS: Final = 6
