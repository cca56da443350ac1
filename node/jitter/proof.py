"""Whether this is Opus at all: half of all random payloads keep its framing rules.

A payload type is a number that two people agreed on; others use it for PCM. So a stream is doubted
until it has proved itself, in one of two ways:

====================  ============================================================================
stamps                advance by the duration of each packet, for 40 ms of sound in a row, which
                      takes no more than twice as long to come: who sends at half pace is heard
pace                  0.6 s of packets of one duration come as fast as they last, whatever the
                      stamps say: a clock of another rate, or none
====================  ============================================================================

Packets that read as another codec one after another (`opus.foreign`) prove nothing.
Each contradiction (framing, size, a stamp that advances by half the duration or less, a third such
packet) doubles what is asked for, to some seconds; enough of them put a stream back into doubt
that had proved itself.
What is doubted is held and placed as any other sound, but it is not let out.
"""

from typing import Final

from node.jitter import state as at
from node.jitter.state import Jitter
from node.kernel import inlined, inner_kernel
from node.kernel.conversions import ns_to_samples
from node.units import RATE_HZ, SAMPLES_PER_MS

_ENOUGH_SAMPLES: Final = 40 * SAMPLES_PER_MS
"""Sound that must agree before a stream is believed; two packets of 20 ms after the first."""

_DOUBTS_MAX: Final = 6
_DOUBT_SHED_SAMPLES: Final = RATE_HZ // 2
"""So much sound that agrees outweighs one contradiction."""

_BEHIND_SAMPLES: Final = 35 * SAMPLES_PER_MS
"""Jitter that a sender at half pace may have. AMR in packets of 60 ms, whose stamps and first byte
say 10 ms, falls behind by 50 ms with each."""

_FOREIGN_RUN: Final = 2
"""A payload that reads as something else is chance, a second one proves nothing; from the third on
they are a contradiction. Of Opus a few in 1,000 read like the one before them, ..."""
_FOREIGN_SHARE: Final = 8
"""... so of a run at its pace not one in so many may."""

_RUN_SAMPLES: Final = RATE_HZ * 6 // 10
WOBBLE_MAX_SAMPLES: Final = 10 * SAMPLES_PER_MS
"""Stamps that a sender takes from a clock wobble; less than half a packet is no pause of it."""

_ASTRAY_SHARE: Final = 24
"""Stamps that agree packet by packet and are off by one part in so many after a run of them count
at another rate. Of those that wobble the last one counts, and the first: less than this."""

_OFF_SHARE: Final = 4
"""A stamp agrees that is off by no more of a packet. Half of one would be as good to hold sound
together, but so are the stamps of 16 kHz off the 10 ms that the first byte of AMR-WB says."""

_STEP_MAX: Final = 8
"""A loss of more packets ends a run."""


@inner_kernel("void(Jitter)")
def reset_proof(state: Jitter) -> None:
    """Begin a new stream of the same source: what was proved of it stays proved."""
    state.run_since_ns = at.NONE
    state.stamps_wrong = 0


@inner_kernel("void(Jitter)")
def doubt(state: Jitter) -> None:
    """Take a contradiction into account."""
    state.proof_samples = 0
    state.run_since_ns = at.NONE
    state.doubts = min(state.doubts + 1, _DOUBTS_MAX)
    if state.doubts == _DOUBTS_MAX:
        state.proven = 0


@inner_kernel("void(Jitter)")
def _doubt_stamps(state: Jitter) -> None:
    """Take a contradiction into account; the pace is looked at all the same."""
    since_ns = state.run_since_ns
    doubt(state)
    state.run_since_ns = since_ns


@inner_kernel("void(Jitter, int64, int64)")
def judge(state: Jitter, reading: int, kinds: int) -> None:
    """Take into account as what else the payload of a doubted stream reads; 0: as nothing.

    kinds  bits of a reading, one for each kind: a payload may read as two, and one in common makes
           two of them alike. Of a run that stays which it can be.
    """
    alike = reading & state.reads_as
    if alike & kinds == 0 or (reading ^ state.reads_as) & ~kinds != 0:
        state.reads_as = reading
        state.reads_run = 0
        return
    state.reads_as = alike
    state.reads_run += 1
    state.run_foreign += 1
    state.suspected = alike
    if state.reads_run >= _FOREIGN_RUN:
        _doubt_stamps(state)


@inlined
def _shed_doubt(state: Jitter, samples: int) -> None:
    """Let `samples` of a proven stream that agree outweigh what contradicted it before."""
    proof_samples = state.proof_samples + samples
    if proof_samples >= _DOUBT_SHED_SAMPLES:
        proof_samples = 0
        state.doubts = max(0, state.doubts - 1)
    state.proof_samples = proof_samples


@inner_kernel("void(Jitter, int64, int64)")
def _agree(state: Jitter, samples: int, transit: int) -> None:
    """Take into account that a doubted stamp says what `samples` of sound before it say."""
    if state.proof_samples == 0:
        state.proof_transit = ns_to_samples(state.highest_arrival_ns) - state.highest_media
    state.proof_samples += samples
    if state.proof_samples >= _ENOUGH_SAMPLES << state.doubts:
        behind = transit - state.proof_transit
        state.proven = 1 if behind <= state.proof_samples + _BEHIND_SAMPLES else 0
        state.proof_samples = 0


@inner_kernel("void(Jitter, int64)")
def _end_run(state: Jitter, now_ns: int) -> None:
    """Judge a run of packets of one duration: by its pace, and its stamps by that."""
    elapsed = ns_to_samples(now_ns - state.run_since_ns)
    is_foreign = _FOREIGN_SHARE * state.run_foreign > state.run_packets
    if 4 * abs(elapsed - state.run_samples) <= state.run_samples and not is_foreign:
        state.proven = 1
        state.doubts = 0
        is_astray = _ASTRAY_SHARE * abs(state.run_off) > state.run_samples
        if is_astray or 2 * state.run_disagreeing > state.run_packets:
            state.stamps_wrong = 1
        elif 8 * state.run_disagreeing <= state.run_packets:
            state.stamps_wrong = 0
    state.run_since_ns = at.NONE


@inlined
def weigh(
    state: Jitter, step: int, left_out: int, stamp_step: int, samples: int, now_ns: int
) -> None:
    """Weigh what a packet `step` numbers after the newest says, by its stamp and its arrival.

    left_out  numbers of those that were no sound, if its stamp is right: then a gap that nobody
              explains neither agrees nor contradicts
    """
    last = state.highest_samples
    off = stamp_step - step * last
    agrees = abs(off) <= min(last // _OFF_SHARE, WOBBLE_MAX_SAMPLES)
    if state.proven:
        if agrees:  # doubted again it begins anew: when its proof began matters only then
            _shed_doubt(state, last)
    elif state.reads_run > 0:
        state.proof_samples = 0
    elif agrees:
        _agree(state, last, ns_to_samples(now_ns) - state.highest_media - stamp_step)
    is_same = samples == last and step <= _STEP_MAX
    if is_same and state.run_since_ns != at.NONE:
        state.run_samples += step * last
        state.run_packets += 1
        if not agrees:
            state.run_disagreeing += 1
        elif off != 0:
            state.run_off += off
        if state.run_samples >= _RUN_SAMPLES:
            _end_run(state, now_ns)
    elif state.run_since_ns != at.NONE:
        state.run_since_ns = at.NONE
    if state.run_since_ns == at.NONE:
        state.run_since_ns = now_ns
        state.run_samples = 0
        state.run_packets = 0
        state.run_foreign = 0
        state.run_disagreeing = 0
        state.run_off = 0
    if 2 * stamp_step <= step * last and not state.stamps_wrong and left_out == 0:
        _doubt_stamps(state)
