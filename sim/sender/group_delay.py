"""One playout delay for the group, decided by the sender from what its nodes need.

Every node reports the delay that it would need (`node.clock.delay_need`). The group gets what the
neediest nodes need that a bound still allows, on a ladder of steps of an eighth, so that noise in
the reports is no change. Rising: at once when the need has stood for `RISE_AFTER_NS`; falling:
after an hour in which less was always enough. Never more than two changes in an hour, except while
a first programme finds its level. Each change is announced `LEAD_NS` ahead, in the sender's clock,
so that all horns move together.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from node.units import NS_PER_MS, NS_PER_S

NODES_MAX: Final = 4096
LEAD_NS: Final = 2 * NS_PER_S
RISE_AFTER_NS: Final = 20 * NS_PER_S
FALL_AFTER_NS: Final = 3600 * NS_PER_S
FIRST_FALL_AFTER_NS: Final = 600 * NS_PER_S
"""The first needs are quantiles of a few packets; what they cost is given back soon."""
SETTLING_NS: Final = 120 * NS_PER_S
HOUR_NS: Final = 3600 * NS_PER_S
CHANGES_PER_HOUR_MAX: Final = 2
REPORT_AGE_MAX_NS: Final = 60 * NS_PER_S
LEFT_BEHIND_SHARE: Final = 0.02
"""Share of nodes that may need more than the group gets: one bad link must not delay a village."""


@dataclass(frozen=True, slots=True)
class DelayChange:
    """From `start_ns` of the sender's clock on the group plays `delay_ns` after capture."""

    delay_ns: int
    start_ns: int


class GroupDelay:
    """Collects needs and decides.

    Parameters
    ----------
    delay_ns : int
        Playout delay before anything is known.
    delay_min_ns, delay_max_ns : int
        Bounds of what is decided.
    """

    def __init__(
        self,
        delay_ns: int,
        *,
        delay_min_ns: int = 40 * NS_PER_MS,
        delay_max_ns: int = 2000 * NS_PER_MS,
    ) -> None:
        self._ladder_ns = _ladder(delay_min_ns, delay_max_ns)
        self.current = DelayChange(delay_ns, 0)
        self.changes = 0
        self._first_report_ns: int | None = None
        self._needs: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()
        self._short_since_ns: int | None = None
        self._highest_ns = 0
        self._highest_since_ns = 0
        self._changed_ns: deque[int] = deque(maxlen=CHANGES_PER_HOUR_MAX)
        self._events: deque[DelayChange] = deque(maxlen=16)

    def receive_need(self, node: Hashable, need_ns: int, now_ns: int) -> None:
        """Take the report of `node`, by whatever tells nodes apart, that it needs `need_ns`."""
        if self._first_report_ns is None:
            self._first_report_ns = now_ns
            self._highest_since_ns = now_ns
        self._needs.pop(node, None)
        self._needs[node] = (need_ns, now_ns)
        if len(self._needs) > NODES_MAX:
            self._needs.popitem(last=False)

    def handle_deadline(self, now_ns: int) -> None:
        """Decide, once a second or so."""
        wanted_ns = self._wanted_ns(now_ns)
        if wanted_ns is None:
            return
        if self._settling(now_ns):
            self._highest_ns = wanted_ns
            self._highest_since_ns = now_ns - FALL_AFTER_NS + FIRST_FALL_AFTER_NS
        self._highest_ns = max(self._highest_ns, wanted_ns)
        if wanted_ns <= self.current.delay_ns:
            self._short_since_ns = None
        elif self._short_since_ns is None:
            self._short_since_ns = now_ns
        if self._short_since_ns is not None:
            if now_ns - self._short_since_ns >= RISE_AFTER_NS or self._settling(now_ns):
                self._change(wanted_ns, now_ns)
        elif now_ns - self._highest_since_ns >= FALL_AFTER_NS:
            # Two steps of slack, or the next stall would take it back.
            roomy_ns = self._step_above(self._step_above(self._highest_ns))
            if roomy_ns < self.current.delay_ns:
                self._change(self._step_above(self._highest_ns), now_ns)
            self._highest_ns = wanted_ns
            self._highest_since_ns = now_ns

    def next_deadline_ns(self, now_ns: int) -> int:
        """Return when `handle_deadline` should run next."""
        return now_ns + NS_PER_S

    def next_event(self) -> DelayChange | None:
        """Return the oldest change not yet announced, or None; `current` is repeated for ever."""
        return self._events.popleft() if self._events else None

    def _wanted_ns(self, now_ns: int) -> int | None:
        """Return the step of the ladder that suits all but the share that is left behind."""
        for node in [n for n, (_, at_ns) in self._needs.items() if _old(at_ns, now_ns)]:
            del self._needs[node]
        if not self._needs:
            return None
        needs_ns = sorted(need_ns for need_ns, _ in self._needs.values())
        index = len(needs_ns) - 1 - int(LEFT_BEHIND_SHARE * len(needs_ns))
        return next((s for s in self._ladder_ns if s >= needs_ns[index]), self._ladder_ns[-1])

    def _settling(self, now_ns: int) -> bool:
        first_ns = self._first_report_ns
        return first_ns is not None and now_ns - first_ns < SETTLING_NS

    def _step_above(self, delay_ns: int) -> int:
        return next((s for s in self._ladder_ns if s > delay_ns), self._ladder_ns[-1])

    def _change(self, delay_ns: int, now_ns: int) -> None:
        """Announce another delay, if the hour has a change left."""
        settling = self._settling(now_ns)
        spent = len(self._changed_ns) == CHANGES_PER_HOUR_MAX
        if not settling and spent and now_ns - self._changed_ns[0] < HOUR_NS:
            return
        if delay_ns == self.current.delay_ns:
            return
        if not settling:
            self._changed_ns.append(now_ns)
        self.changes += 1
        self.current = DelayChange(delay_ns, now_ns + LEAD_NS)
        self._events.append(self.current)
        self._short_since_ns = None
        self._highest_ns = 0
        self._highest_since_ns = now_ns


def _ladder(lowest_ns: int, highest_ns: int) -> list[int]:
    """Return steps of an eighth, rounded to ms, from `lowest_ns` to `highest_ns`."""
    steps_ns = [lowest_ns]
    while steps_ns[-1] < highest_ns:
        grown_ms = steps_ns[-1] * 9 // 8 // NS_PER_MS + 1
        steps_ns.append(min(grown_ms * NS_PER_MS, highest_ns))
    return steps_ns


def _old(at_ns: int, now_ns: int) -> bool:
    return now_ns - at_ns > REPORT_AGE_MAX_NS
