"""How long a warning is in force: by its own words, from its receipt, and at most.

```
 sent ── effective ════════════════════════ expires        by a clock that is believed
           receipt ════════════════ as long as it was to last      by none
           receipt ══════ lasts_max_s                       by either, of a key that is sealed
```
A believed clock that is set ahead does so ten minutes later: `CivilClock.held`.
What a sealed key ordered ends by the node's own count of seconds: whatever its order says of the
time, and whatever clock is believed later.
"""

import msgspec

from node.control.civil_time import Least
from node.control.warning.alert import Alert
from node.units import NS_PER_S


def on_arrival(alert: Alert, utc_s: int) -> Alert:
    """Return `alert` as it holds where it arrives at `utc_s`, by a clock that is trusted.

    Nothing is sent in the future: then the clock of who sent it is ahead, and what was to sound at
    once sounds at once. A short alert lasts from then on; the end of a CAP document was written by
    a person and stays.
    """
    ahead_s = alert.sent_s - utc_s
    if ahead_s <= 0 or alert.effective_s > alert.sent_s:
        return alert
    expires_s = alert.expires_s
    if alert.identifier.startswith("#"):
        expires_s -= ahead_s
    effective_s = min(alert.effective_s, utc_s)
    return msgspec.structs.replace(alert, effective_s=effective_s, expires_s=expires_s)


def ends_ns(alert: Alert, now_ns: int) -> int:
    """Return when `alert`, in force from `now_ns` on, has been so for as long as it may be."""
    lasts_s = max(alert.expires_s - alert.sent_s, 1)
    return now_ns + min(lasts_s, alert.lasts_max_s or lasts_s) * NS_PER_S


def is_over(
    alert: Alert, end_ns: int, level: int, at: tuple[int, int], *, least: Least | None
) -> bool:
    """Return whether the end of `alert` has come.

    Parameters
    ----------
    alert : Alert
        A warning of tier `level`.
    end_ns : int
        From `ends_ns`.
    at : tuple of int
        Civil seconds and monotonic ns of now.
    least : Least or None
        The least that civil time can be, while it is not known; None: it is known.
    """
    utc_s, now_ns = at
    if now_ns >= end_ns and (least is not None or alert.lasts_max_s):
        return True
    return (utc_s if least is None else least.at(level)) >= alert.expires_s
