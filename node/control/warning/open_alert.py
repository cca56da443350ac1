"""A warning that waits or sounds: when it may begin, and when its time is over."""

from dataclasses import dataclass

from node.control.calendar.play_run import Run
from node.control.civil_time import Least
from node.control.warning.alert import Alert
from node.control.warning.alert_time import ends_ns, is_over
from node.units import NS_PER_S


@dataclass(slots=True, eq=False)
class OpenAlert:
    """One open warning of a node."""

    alert: Alert
    ends_ns: int | None
    """Monotonic end, for when the clock is not trusted."""
    run: Run | None = None

    def again(self) -> "OpenAlert":
        """Return it as it waits for the next time at which it may sound."""
        return OpenAlert(self.alert, self.ends_ns)

    def is_over(self, level: int, utc_s: int, now_ns: int, *, least: Least | None) -> bool:
        """Return whether the end of what is of tier `level` has come; see `alert_time.is_over`."""
        end_ns = ends_ns(self.alert, now_ns) if self.ends_ns is None else self.ends_ns
        if least is not None or self.alert.lasts_max_s:
            self.ends_ns = end_ns  # from before a power cut: nobody knows how long it has been
        return is_over(self.alert, end_ns, level, (utc_s, now_ns), least=least)

    def is_in_force(self, utc_s: int, held_s: int, *, trusted: bool) -> bool:
        """Return whether its time has come, where it is not over.

        A clock that was set beyond its end does not say that: it waits until either is believed.
        """
        if not trusted or utc_s < self.alert.effective_s:
            return not trusted
        return utc_s < self.alert.expires_s or held_s >= self.alert.effective_s

    def due_ns(
        self, level: int, utc_s: int, second_ns: int, *, trusted: bool, least: Least
    ) -> list[int]:
        """Return when it is to be looked at: the second `utc_s` began at `second_ns`, monotonic."""
        alert, is_known = self.alert, trusted and not least.doubts(level)
        found = [self.run.ends_ns] if self.run is not None and self.run.held_ns < 0 else []
        if self.ends_ns is not None and (not is_known or alert.lasts_max_s):
            found.append(self.ends_ns)
        known_s = least.own_s(utc_s) if is_known else least.at(level)
        left_s = max(alert.expires_s - known_s, 0 if is_known else 1)
        found.append(second_ns + left_s * NS_PER_S)
        if trusted and self.run is None and alert.effective_s > utc_s:
            found.append(second_ns + (alert.effective_s - utc_s) * NS_PER_S)
        return found
