"""Whether this is Opus at all: half of all random payloads keep its framing rules.

A payload type is a number that two people agreed on; others use it for PCM. So a stream is doubted
until it has proved itself, in one of two ways:

====================  ============================================================================
stamps                advance by the duration of each packet, for 40 ms of sound in a row
pace                  0.6 s of packets of one duration come as fast as they last, whatever the
                      stamps say: a clock of another rate, or none
====================  ============================================================================

Each contradiction (framing, size, a stamp that advances by half the duration or less) doubles what
is asked for, to some seconds; enough of them put a stream back into doubt that had proved itself.
What is doubted is held and placed as any other sound, but it is not let out.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.kernel import kernel
from node.units import NS_PER_S, RATE_HZ, SAMPLES_PER_MS

_ENOUGH_SAMPLES: Final = 40 * SAMPLES_PER_MS
"""Sound that must agree before a stream is believed; two packets of 20 ms after the first."""

_DOUBTS_MAX: Final = 6
_DOUBT_SHED_SAMPLES: Final = RATE_HZ // 2
"""So much sound that agrees outweighs one contradiction."""

_RUN_SAMPLES: Final = RATE_HZ * 6 // 10
WOBBLE_MAX_SAMPLES: Final = 10 * SAMPLES_PER_MS
"""Stamps that a sender takes from a clock wobble; less than half a packet is no pause of it."""

_ASTRAY_SHARE: Final = 24
"""Stamps that agree packet by packet and are off by one part in so many after a run of them count
at another rate. Of those that wobble the last one counts, and the first: less than this."""

_STEP_MAX: Final = 8
"""A loss of more packets ends a run."""


@kernel("void(int64[::1])")
def reset_proof(state: NDArray[np.int64]) -> None:
    """Begin a new stream of the same source: what was proved of it stays proved."""
    state[at.RUN_SINCE_NS] = at.NONE
    state[at.STAMPS_WRONG] = 0


@kernel("void(int64[::1])")
def doubt(state: NDArray[np.int64]) -> None:
    """Take a contradiction into account."""
    state[at.PROOF_SAMPLES] = 0
    state[at.RUN_SINCE_NS] = at.NONE
    state[at.DOUBTS] = min(state[at.DOUBTS] + 1, _DOUBTS_MAX)
    if state[at.DOUBTS] == _DOUBTS_MAX:
        state[at.PROVEN] = 0


@kernel("void(int64[::1], int64)")
def _agree(state: NDArray[np.int64], samples: int) -> None:
    """Take into account that a stamp says what `samples` of sound before it say."""
    state[at.PROOF_SAMPLES] += samples
    if state[at.PROVEN]:
        if state[at.PROOF_SAMPLES] >= _DOUBT_SHED_SAMPLES:
            state[at.PROOF_SAMPLES] = 0
            state[at.DOUBTS] = max(0, state[at.DOUBTS] - 1)
    elif state[at.PROOF_SAMPLES] >= _ENOUGH_SAMPLES << state[at.DOUBTS]:
        state[at.PROVEN] = 1
        state[at.PROOF_SAMPLES] = 0


@kernel("void(int64[::1], int64)")
def _end_run(state: NDArray[np.int64], now_ns: int) -> None:
    """Judge a run of packets of one duration: by its pace, and its stamps by that."""
    elapsed = (now_ns - state[at.RUN_SINCE_NS]) * RATE_HZ // NS_PER_S
    if 4 * abs(elapsed - state[at.RUN_SAMPLES]) <= state[at.RUN_SAMPLES]:
        state[at.PROVEN] = 1
        state[at.DOUBTS] = 0
        is_astray = _ASTRAY_SHARE * abs(state[at.RUN_OFF]) > state[at.RUN_SAMPLES]
        if is_astray or 2 * state[at.RUN_AGREEING] < state[at.RUN_PACKETS]:
            state[at.STAMPS_WRONG] = 1
        elif 8 * state[at.RUN_AGREEING] >= 7 * state[at.RUN_PACKETS]:
            state[at.STAMPS_WRONG] = 0
    state[at.RUN_SINCE_NS] = at.NONE


@kernel("void(int64[::1], int64, int64, int64, int64)")
def weigh(state: NDArray[np.int64], step: int, stamp_step: int, samples: int, now_ns: int) -> None:
    """Weigh what a packet `step` numbers after the newest says, by its stamp and its arrival."""
    last = state[at.HIGHEST_SAMPLES]
    off = stamp_step - step * last
    agrees = abs(off) <= min(last // 2, WOBBLE_MAX_SAMPLES)
    if agrees:
        _agree(state, last)
    is_same = samples == last and step <= _STEP_MAX
    if is_same and state[at.RUN_SINCE_NS] != at.NONE:
        state[at.RUN_SAMPLES] += step * last
        state[at.RUN_PACKETS] += 1
        state[at.RUN_AGREEING] += 1 if agrees else 0
        state[at.RUN_OFF] += off if agrees else 0
        if state[at.RUN_SAMPLES] >= _RUN_SAMPLES:
            _end_run(state, now_ns)
    elif state[at.RUN_SINCE_NS] != at.NONE:
        state[at.RUN_SINCE_NS] = at.NONE
    if state[at.RUN_SINCE_NS] == at.NONE:
        state[at.RUN_SINCE_NS] = now_ns
        state[at.RUN_SAMPLES] = 0
        state[at.RUN_PACKETS] = 0
        state[at.RUN_AGREEING] = 0
        state[at.RUN_OFF] = 0
    if 2 * stamp_step <= step * last and not state[at.STAMPS_WRONG]:
        since_ns = state[at.RUN_SINCE_NS]
        doubt(state)
        state[at.RUN_SINCE_NS] = since_ns  # the pace is looked at whatever the stamps say
