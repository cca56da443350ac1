"""Arrival traces from the text of ping: half of each round trip."""

import re
from pathlib import Path
from typing import Final

import numpy as np

from node.config import ConfigError
from node.units import NS_PER_MS
from sim.links.kernel import LOST_NS
from sim.links.transits import DELAY_MAX_MS, Recording, in_order

_ECHO: Final = re.compile(r"\b(?:icmp_)?(?:seq|req)[= ]([0-9]{1,9})\b")
_TIME: Final = re.compile(r"\btime[=<]([^ ]{1,40}) ?(\w*)")
_ANSWER: Final = re.compile(r" (?:ttl|hlim)=| bytes from ")
_SENT: Final = re.compile(r"^([0-9]{1,9}) packets transmitted(?:.*, time ([0-9]{1,12}) ?ms)?")


def is_ping(lines: list[str]) -> bool:
    """Return whether a text is ping's, by its first lines."""
    return any(line.startswith("PING ") or _ECHO.search(line) for line in lines[:10])


def from_ping(path: Path, lines: list[str]) -> Recording:
    """Return half of each round trip that ping printed.

    Parameters
    ----------
    path : Path
        Named in what is raised.
    lines : list of str
        What ping printed (iputils; others that print ``seq=`` and ``time=`` in ms too).

    Returns
    -------
    Recording
        How far its packets are apart says the last line of a ping that ended by itself.

    Raises
    ------
    ConfigError
        Naming file, line, value and what would be right.
    """
    rows: list[tuple[int, int, int]] = []  # line, sequence, transit
    interval_ns = None
    whole = bool(lines) and lines[0].startswith("PING ")
    for number, line in enumerate(lines, 1):
        echo, sent = _ECHO.search(line), _SENT.match(line)
        wrong = f"{path}: line {number} = {line[:80]!r}: "
        if number > 1 and line.startswith("PING "):
            raise ConfigError(f"{wrong}must be of one ping; another begins here")
        if echo:
            sequence = int(echo[1])
            if sequence > 0xFFFF:
                raise ConfigError(f"{wrong}the sequence number must be at most 65535")
            if rows:
                step = (sequence - rows[-1][1] + 0x8000) % 0x10000 - 0x8000
                sequence = rows[-1][1] + step
            elif whole and 1 < sequence < 0x8000:  # ping counts from 1: those before are lost
                rows.append((number, 1, LOST_NS))
            rows.append((number, sequence, _half_ns(wrong, line)))
        elif sent and whole and rows:
            if sent[2] and int(sent[1]) > 1:
                interval_ns = int(sent[2]) * NS_PER_MS // (int(sent[1]) - 1) or None
            last = min(sequence for _, sequence, _ in rows) + int(sent[1]) - 1
            rows.append((number, max(last, rows[-1][1]), LOST_NS))
    if all(transit == LOST_NS for _, _, transit in rows):
        raise ConfigError(f"{path}: no packet of it is answered; at least one answer is needed")
    table = np.array(rows, np.int64)
    found_ns = in_order(path, table[:, 1], table[:, 2], table[:, 0], what="line")
    return Recording(found_ns, interval_ns)


def _half_ns(wrong: str, line: str) -> int:
    """Return half of the round trip that a line of ping says; LOST_NS if it is no answer."""
    time = _TIME.search(line)
    if time is None and not _ANSWER.search(line):
        return LOST_NS
    try:
        round_ms = float(time[1]) if time and time[2] == "ms" else -1.0
    except ValueError:
        round_ms = -1.0
    if not 0 <= round_ms <= DELAY_MAX_MS:  # nan too
        raise ConfigError(
            f"{wrong}must hold time=, at least 0 ms and at most {DELAY_MAX_MS} ms, as "
            "`LC_ALL=C ping -s 56` prints it"
        )
    return round(round_ms * NS_PER_MS / 2)
