"""The loop that listens to the horn: whether it can be opened, and what it heard last, and when."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from node.control.calendar.play_state import Record
from node.control.proof.proof import Entry, lines_of
from node.control.proof.self_tests import WRITER
from node.shell.doctor.finding import Finding, fault, good, note
from node.shell.hearing.settings import LoopConfig

NO_REFERENCE: Final = (
    "loop.reference_db is not set: a neighbour's horn counts as this one, a dead one as heard",
    "`loalang-node doctor --tone audible` says it, while all is well",
)
"""What a microphone of unknown gain cannot tell apart, and what helps."""

REMEDY: Final = "is the amplifier on, the line whole, the horn alive, the {} in its place?"


def look_at_loop(loop: LoopConfig, kept: Mapping[str, bytes], now_s: float) -> Iterator[Finding]:
    """Yield what was found of the loop, and what it said last by the records that were `kept`."""
    if not loop.is_wired:
        yield note(
            "loop",
            "none: what the card took is acoustically unverified",
            "wire a microphone or a clamp for the current: [loop], see node.md",
        )
        return
    if loop.file is not None and not os.access(loop.file, os.R_OK):
        yield fault("loop", f"{loop.file} cannot be read", "loop.file: a FIFO of samples")
        return
    if loop.file is not None and not (Path(loop.file).is_fifo() or Path(loop.file).is_file()):
        yield fault("loop", f"{loop.file} is no FIFO and no file", "loop.file: a FIFO of samples")
        return
    if loop.device is not None and shutil.which("arecord") is None:
        yield fault("loop", "arecord is missing", "apt install alsa-utils")
        return
    if loop.kind == "microphone" and loop.reference_db is None:
        yield note("loop reference", *NO_REFERENCE)
    records = (msgspec.json.decode(line, type=Entry).record for line in reversed(lines_of(kept)))
    last = next((one for one in records if _is_heard(one, loop.kind)), None)
    if last is None:
        yield note(
            "loop",
            f"{loop.device or loop.file}, and nothing was tested yet",
            "`loalang-node order self-test silent`, or loop.daily",
        )
        return
    age = _age(now_s - last.ended_s)
    text = f"{last.name}, {age} ago: {last.reason or last.heard_by}"
    if last.outcome == "played":
        yield good("loop", text)
    else:
        yield fault("loop", text, REMEDY.format(loop.kind))


def _is_heard(record: Record, kind: str) -> bool:
    """Return whether the loop was asked about what a record is of, and said a word."""
    by = record.heard_by if isinstance(record.heard_by, str) else ""
    return record.writer == WRITER or f"{kind}, heard" in by or f"{kind} heard nothing" in by


def _age(seconds: float) -> str:
    for unit_s, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
