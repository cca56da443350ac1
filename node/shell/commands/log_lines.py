"""How a line of the log looks: on a screen with its time, in the journal with its priority.

The journal stamps each line itself, and reads `<N>` before it (sd-daemon(3)): `journalctl -p err`
shows what a person has to see. It is the journal when `JOURNAL_STREAM` names standard error
(systemd.exec(5)); a node that is started in a terminal of a service writes to a screen.
"""

import logging
import os
import sys
from typing import Final

_SCREEN: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_JOURNAL: Final = "%(name)s: %(message)s"
_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)
"""syslog(3): critical, error, warning, informational, debug."""


class JournalLines(logging.Formatter):
    """Each line of a record with its priority, and no time."""

    def __init__(self) -> None:
        super().__init__(_JOURNAL)

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record; a traceback is as urgent as what it belongs to."""
        fits = (one for level, one in _PRIORITIES if record.levelno >= level)
        mark = f"<{next(fits, 7)}>"
        return "\n".join(mark + line for line in super().format(record).splitlines() or [""])


def is_journal(stream: int) -> bool:
    """Return whether a file descriptor goes to the journal."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        there = os.fstat(stream)
    except OSError:
        return False
    return (device, inode) == (str(there.st_dev), str(there.st_ino))


def begin_log(level: int) -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    try:
        to_journal = is_journal(sys.stderr.fileno())
    except (OSError, ValueError):  # a test's, or none at all
        to_journal = False
    handler.setFormatter(JournalLines() if to_journal else logging.Formatter(_SCREEN))
    logging.basicConfig(level=level, handlers=[handler])
