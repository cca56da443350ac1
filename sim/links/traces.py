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
from sim.links.pings import from_ping, is_ping
from sim.links.transits import DELAY_MAX_MS, SEQUENCES_MAX

_TEXT_BYTES_MAX: Final = 256 << 20
_COLUMNS: Final = ["seq", "send_ms", "arrival_ms"]


def read_trace(path: Path) -> NDArray[np.int64]:
    """Read the transits of a trace.

    Parameters
    ----------
    path : Path
        Either CSV with the columns ``seq,send_ms,arrival_ms`` (an empty arrival is a lost packet;
        a missing ``seq`` too), or one whole number per line, a delay in ms, -1 for lost (the
        format of ITU-T G.191 `dlyerr_2_errpat`), or a capture (pcap), or what ping printed: the
        content says which. ``.gz`` is unpacked.

    Returns
    -------
    (n,) int64
        Transit in ns per packet, LOST_NS where it is lost. Of a CSV and a capture the clocks at
        the two ends are unknown to each other, so their fastest packet has transit 0.

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
    return _from_delays(path, lines)


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


def _from_csv(path: Path, lines: list[str]) -> NDArray[np.int64]:
    try:
        rows = list(csv.DictReader(lines))
    except csv.Error as fault:
        raise ConfigError(f"{path}: not a trace: {fault}") from fault
    found: dict[int, int | None] = {}
    for number, row in enumerate(rows, 2):
        try:
            sequence = int(row["seq"])
            arrival = row["arrival_ms"]
            if arrival:
                found[sequence] = round((float(arrival) - float(row["send_ms"])) * NS_PER_MS)
            else:
                found.setdefault(sequence, None)
        except (KeyError, TypeError, ValueError, OverflowError):
            words = ",".join(str(value) for value in row.values())
            raise ConfigError(
                f"{path}: line {number} = {words!r}: must be {','.join(_COLUMNS)} as numbers"
            ) from None
    return _dense(path, found)


def _dense(path: Path, found: dict[int, int | None]) -> NDArray[np.int64]:
    """Return the transits in the order of their sequence numbers; gaps are losses."""
    came = [transit for transit in found.values() if transit is not None]
    if not came:
        raise ConfigError(f"{path}: no packet of it arrives; at least one arrival is needed")
    first = min(found)
    length = max(found) - first + 1
    if length > SEQUENCES_MAX:
        raise ConfigError(f"{path}: seq spans {length} packets; at most {SEQUENCES_MAX}")
    transit_ns = np.full(length, LOST_NS, np.int64)
    fastest = min(came)
    if max(came) - fastest > DELAY_MAX_MS * NS_PER_MS:
        raise ConfigError(
            f"{path}: one packet takes {(max(came) - fastest) / NS_PER_MS:.6g} ms more than the "
            f"fastest; at most {DELAY_MAX_MS}"
        )
    for sequence, transit in found.items():
        if transit is not None:
            transit_ns[sequence - first] = transit - fastest
    return transit_ns
