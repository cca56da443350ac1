"""Faults that once made a node deaf: planted again in a copy of the tree, each must be found."""

from typing import Final

from benchmarks.fault import Fault

FAULTS: Final = (
    Fault(
        "early packets never reach the time base",
        "node/source/playback.py",
        (
            (
                "if result >= 0 or result in (js.LATE, js.EARLY):",
                "if result >= 0 or result == js.LATE:",
            ),
        ),
    ),
    Fault(
        "silent sources keep their places",
        "node/source/admission.py",
        (("    return min(idle, key", "    return None if idle else min(idle, key"),),
    ),
    Fault(
        "a position that ran ahead in a pause is never taken back",
        "node/source/playback.py",
        (("is_ahead = state.held == 0 and ", "is_ahead = False and "),),
    ),
    Fault(
        "a line that all packets miss is kept",
        "node/clock/lateness.py",
        (("    return bool(is_above and ", "    return bool(False and is_above and "),),
    ),
    Fault(
        "a sender's stamps are the only proof",
        "node/jitter/proof.py",
        (("    if 4 * abs(elapsed", "    if False and 4 * abs(elapsed"),),
    ),
    Fault(
        "the buffer holds 256 packets, however short",
        "node/jitter/buffer.py",
        (("    return max(at.SLOTS, ", "    return min(at.SLOTS, "),),
    ),
    Fault(
        "a few old packets outvote the stream",
        "node/jitter/unwrap.py",
        (
            ("elif step < 0 and quiet_ns < _QUIET_NS:", "elif False:"),
            ("    return bool(follows and quiet", "    return bool(ahead >= _ASIDE_MAX or quiet"),
        ),
    ),
)
