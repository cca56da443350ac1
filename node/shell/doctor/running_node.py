"""What the running node says of itself: in its sandbox fails what a person's hands can do."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from node.shell.doctor.finding import Finding, fault, good

UNIT: Final = "loalang-node.service"
_PART: Final = "running node"
PATIENCE_S: Final = 5.0
_DEGRADED: Final = "degraded: "


def look_at_running_node() -> Iterator[Finding]:
    """Yield the state that the running unit told last; nothing where there is none."""
    if shutil.which("systemctl") is None:
        return
    asked = ["systemctl", "show", "--property=ActiveState,StatusText", UNIT]
    try:
        done = subprocess.run(
            asked, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    told = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    status = told.get("StatusText", "")
    if not status or told.get("ActiveState") not in ("active", "activating"):
        return
    if status.startswith(_DEGRADED):
        remedy = f"mend what is named; `journalctl -u {UNIT}` has since when"
        yield fault(_PART, status.removeprefix(_DEGRADED), remedy)
    else:
        yield good(_PART, status)
