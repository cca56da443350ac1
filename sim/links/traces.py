"""Arrival traces from files: what a real network did, packet by packet."""

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import ConfigError
from node.shell.faults import ShellError
from node.shell.files import read_regular
from node.units import NS_PER_MS
from sim.links.captures import from_capture, is_capture
from sim.links.kernel import LOST_NS
from sim.links.known import cached_by_self
from sim.links.pings import from_ping, is_ping
from sim.links.skew import without_skew
from sim.links.transits import DELAY_MAX_MS, SEQUENCES_MAX, Recording

_TEXT_BYTES_MAX: Final = 256 << 20
_COLUMNS: Final = ["seq", "send_ms", "arrival_ms"]
_ROUND: Final = 1 << 16
"""So many sequence numbers has RTP, then it begins anew."""


def read_trace(path: Path) -> NDArray[np.int64]:
    """Return the transits of `read_recording`: (n,) int64 in ns, LOST_NS where lost."""
    return read_recording(path).transit_ns


def read_recording(path: Path) -> Recording:
    """Read the transits of a trace.

    Parameters
    ----------
    path : Path
        Either CSV with the columns ``seq,send_ms,arrival_ms`` (an empty arrival is a lost packet;
        a missing ``seq`` too; numbers of 16 bits may go round), or one whole number per
        line, a delay in ms, -1 for lost (the format of ITU-T G.191 `dlyerr_2_errpat`), or a
        capture (pcap), or what ping printed: the content says which. ``.gz`` is unpacked.

    Returns
    -------
    Recording
        Of a CSV and a capture the clocks at the two ends are unknown to each other: so their
        fastest packet has transit 0, and what they run apart is taken out.

    Raises
    ------
    ConfigError
        Naming file, line or packet, value and what would be right.
    """
    try:
        raw = _unpacked(path, read_regular(path, _TEXT_BYTES_MAX))
        if is_capture(raw):
            return from_capture(path, raw)
        text = raw.decode("utf-8-sig")
    except ShellError as fault:
        raise ConfigError(f"{fault}") from fault
    except OSError as fault:  # damaged within
        raise ConfigError(f"{path}: not a trace: {fault}") from fault
    except (UnicodeDecodeError, EOFError, zlib.error) as fault:
        raise ConfigError(f"{path}: not a trace: {fault}") from fault
    lines = text.splitlines()
    if lines and lines[0].replace(" ", "").startswith("seq,"):
        return _from_csv(path, lines)
    if is_ping(lines):
        return from_ping(path, lines)
    return Recording(_from_delays(path, lines))


def _unpacked(path: Path, raw: bytes) -> bytes:
    if path.suffix != ".gz":
        return raw
    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
        text = file.read(_TEXT_BYTES_MAX + 1)
    if len(text) > _TEXT_BYTES_MAX:
        raise ConfigError(f"{path}: unpacks to more than {_TEXT_BYTES_MAX >> 20} MB")
    return text


def _from_delays(path: Path, lines: list[str]) -> NDArray[np.int64]:
    transit_ns = []
    for number, line in enumerate(lines, 1):
        word = line.strip()
        if not word:
            continue
        try:
            delay_ms = int(word)
        except ValueError:
            delay_ms = -2
        if not -1 <= delay_ms <= DELAY_MAX_MS:
            raise ConfigError(
                f"{path}: line {number} = {word[:80]!r}: must be a delay in whole ms, at most "
                f"{DELAY_MAX_MS}, or -1 for lost"
            )
        transit_ns.append(LOST_NS if delay_ms == -1 else delay_ms * NS_PER_MS)
    if not transit_ns:
        raise ConfigError(f"{path}: holds no packet; at least one line is needed")
    return np.array(transit_ns, np.int64)


def _from_csv(path: Path, lines: list[str]) -> Recording:
    try:
        rows = list(csv.DictReader(lines))
    except csv.Error as fault:
        raise ConfigError(f"{path}: not a trace: {fault}") from fault
    sequences: list[int] = []
    sent_ns: list[int | None] = []
    transit_ns: list[int | None] = []
    for number, row in enumerate(rows, 2):
        try:
            sequences.append(int(row["seq"]))
            arrival, sent = row["arrival_ms"], row["send_ms"] or ""
            if arrival:
                sent_ns.append(round(float(sent) * NS_PER_MS))
                transit_ns.append(round((float(arrival) - float(sent)) * NS_PER_MS))
            else:
                sent_ns.append(None)
                transit_ns.append(None)
        except (KeyError, TypeError, ValueError, OverflowError):
            words = ",".join(str(value) for value in row.values())
            raise ConfigError(
                f"{path}: line {number} = {words!r}: must be {','.join(_COLUMNS)} as numbers"
            ) from None
    _unwrap(sequences, sent_ns)
    found: dict[int, tuple[int, int] | None] = {}
    for sequence, sent, transit in zip(sequences, sent_ns, transit_ns, strict=True):
        if sent is None or transit is None:
            found.setdefault(sequence, None)
            continue
        known = found.get(sequence)
        if known is None or sum(known) > sent + transit:  # of equal ones the first that came
            found[sequence] = (sent, transit)
    return _dense(path, found)


def _unwrap(sequences: list[int], sent_ns: list[int | None]) -> None:
    """Let numbers of 16 bits that begin anew while time goes on count on."""
    if not sequences or min(sequences) < 0 or max(sequences) >= _ROUND:
        return
    rounds, before, latest_ns = 0, sequences[0], sent_ns[0]
    for i, sequence in enumerate(sequences):
        at_ns = sent_ns[i]
        later = None in (at_ns, latest_ns) or (at_ns or 0) > (latest_ns or 0)
        if before - sequence > _ROUND // 2 and later:
            rounds += 1
        late = rounds > 0 and sequence - before > _ROUND // 2  # of the round before
        sequences[i] = sequence + (rounds - late) * _ROUND
        if not late:
            before = sequence
            latest_ns = at_ns if at_ns is not None else latest_ns


def _dense(path: Path, found: dict[int, tuple[int, int] | None]) -> Recording:
    """Return the transits in the order of their sequence numbers; gaps are losses."""
    came = [one for one in found.values() if one is not None]
    if not came:
        raise ConfigError(f"{path}: no packet of it arrives; at least one arrival is needed")
    first = min(found)
    length = max(found) - first + 1
    if length > SEQUENCES_MAX:
        raise ConfigError(f"{path}: seq spans {length} packets; at most {SEQUENCES_MAX}")
    fastest = min(transit for _, transit in came)
    slowest = max(transit for _, transit in came)
    if slowest - fastest > DELAY_MAX_MS * NS_PER_MS:
        raise ConfigError(
            f"{path}: one packet takes {(slowest - fastest) / NS_PER_MS:.6g} ms more than the "
            f"fastest; at most {DELAY_MAX_MS}"
        )
    there = sorted((q, *one) for q, one in found.items() if one is not None)
    begin = min(sent for _, sent, _ in there)
    longest_ns = 366 * DELAY_MAX_MS * NS_PER_MS
    sent_ns = np.array([min(sent - begin, longest_ns) for _, sent, _ in there], np.int64)
    late_ns = np.array([transit - fastest for *_, transit in there], np.int64)
    index = np.array([q - first for q, *_ in there], np.int64)
    late_ns, skew_ppm = without_skew(sent_ns, late_ns)
    transit_ns = np.full(length, LOST_NS, np.int64)
    transit_ns[index] = late_ns - late_ns.min()
    step_ns = np.diff(sent_ns)[np.diff(index) == 1]
    interval_ns = int(np.median(step_ns)) if step_ns.size else 0
    return Recording(transit_ns, interval_ns if interval_ns > 0 else None, skew_ppm)


@cached_by_self
def median_ns(transit_ns: NDArray[np.int64]) -> int:
    """Return the median of what came of a trace, 0 where nothing did; ns.

    transit_ns  (n,) int64, ns, LOST_NS for what was lost
    """
    came_ns = transit_ns[transit_ns != LOST_NS]
    return int(np.median(came_ns)) if came_ns.size else 0
