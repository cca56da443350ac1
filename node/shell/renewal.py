"""When a running node takes what is new: a configuration that was read again, a station's grant.

```
 SIGHUP ─► read ─┬► bad: told, the old one holds
                 └► good ─► nothing sounds ─► taken
                            │ something sounds for 10 min ─► the fault `configuration` says so
                            └ for an hour, and it is not urgent ─► taken all the same
```
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from node.config import ConfigError
from node.shell.faults import ShellError
from node.shell.health import Health
from node.units import NS_PER_S

LOG: Final = logging.getLogger("loalang")

TOLD_NS: Final = 600 * NS_PER_S
"""A configuration that waits for so long is a fault by its name."""
WAIT_MAX_NS: Final = 3600 * NS_PER_S
"""What sounds then is cut, unless it is urgent: a programme that never ends is no reason."""

NAME: Final = "configuration"
_WAITS: Final = (
    "the new one waits until the sound ends; it is taken an hour after it was read, however the "
    "programme goes on, and never in an urgent warning"
)


class Renewal:
    """What waits to be taken.

    Parameters
    ----------
    renewed : callable or None
        Returns whether something waits that a fresh start takes.
    reread : callable or None
        Reads the configuration again, and raises what is wrong with it.
    """

    def __init__(
        self, renewed: Callable[[], bool] | None, reread: Callable[[], object] | None
    ) -> None:
        self._renewed = renewed
        self._reread = reread
        self._since_ns: int | None = None
        self.begins_anew = False
        """The configuration was read again, and a new service is to take it."""

    def read_again(self, health: Health, now_ns: int) -> None:
        """Read the configuration again; what is wrong with it changes nothing, and is told."""
        if self._reread is None:
            return
        try:
            self._reread()
        except (ConfigError, ShellError) as fault:
            LOG.error("the configuration is not taken, the old one holds: %s", fault)
            health.note(NAME, str(fault), now_ns)
            self.begins_anew = False
            self._since_ns = None
            return
        LOG.info("the new configuration is taken as soon as nothing sounds, or in an hour")
        health.note(NAME, None, now_ns)
        self.begins_anew = True
        if self._since_ns is None:  # who asks each minute does not put it off
            self._since_ns = now_ns

    def is_due(self, status: Mapping[str, Any], health: Health, now_ns: int) -> bool:
        """Return whether the service is to end now, so that what waits is taken."""
        sounds = status.get("playing") is not None
        if not sounds and self._renewed is not None and self._renewed():
            LOG.info("the station gave something new: a fresh start takes it")
            self.begins_anew = False
            return True
        if not self.begins_anew or self._since_ns is None:
            return False
        waited_ns = now_ns - self._since_ns
        if not sounds:
            return True
        if waited_ns >= TOLD_NS:
            health.note(NAME, _WAITS, now_ns)
        if waited_ns < WAIT_MAX_NS or status.get("playing_class") == "urgent":
            return False
        LOG.warning("the new configuration has waited for an hour: what sounds is cut")
        return True
