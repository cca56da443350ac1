"""What is true of one pole's history: which warnings, when they may sound, when it is reachable."""

from dataclasses import dataclass, field
from typing import Final

from node.control.calendar.play_state import Record
from node.control.civil_time import GRACE_NS
from node.control.mute import MUTED_FROM_ABOVE
from node.control.trust.fates import CANCELS
from node.units import NS_PER_S
from sim.swarm.desk import Given
from sim.swarm.history import AtEnd, History, PoleHistory, Span, Told
from sim.swarm.script import TIERS, Step, Tier
from sim.swarm.village import ns_of, tones_of
from sim.world.hop import TROUBLES

_DISK_WAIT_NS: Final = 5 * NS_PER_S
"""As `node.shell.broker.unacknowledged` has it."""

_IN_THE_WAY: Final = (
    "link_down", "congestion", "disk_full", "disk_slow", "broker_down", *TROUBLES
)  # fmt: skip

_FIRST_NS: Final = 2 * NS_PER_S
"""The state that a first connection brings comes within so long; only then does a node tell."""


@dataclass(slots=True)
class Warned:
    """A warning that the station ordered, at one pole."""

    given: Given
    tones: tuple[int, int]
    came_ns: int | None = None
    """When the node first took it."""
    fate: str = ""
    ended_ns: int | None = None
    """When it lost its right to sound here; None: nobody knows better than the node."""
    records: list[Record] = field(default_factory=list)
    """That reached the station."""
    emitted: list[tuple[Told, Record]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return how records name it."""
        return f"#{self.given.step.number:016x}"

    @property
    def rank(self) -> tuple[bool, int]:
        """Return its standing: higher takes the horn."""
        return not self.given.step.priority, -TIERS.index(self.given.step.by)

    def __str__(self) -> str:
        return f"warning {self.given.step.number} ({self.given.step.event})"


class Facts:
    """Of one pole."""

    def __init__(self, history: History, pole: PoleHistory) -> None:
        self._script = history.script
        self._pole = pole
        self.end_ns = history.end_ns
        self.at_end: AtEnd | None = history.ends.get(pole.name)
        self.given = [one for one in history.given if one.step.pole in ("", pole.name)]
        self.warnings = [self._warning(one) for one in self.given if one.step.do == "alert"]
        self.by_day = history.script.begin == "17:30"
        """Whether the hours allow what is not urgent."""
        self.live = [one for one in self.given if one.step.do == "live"]
        self.muted = self.muted_for("commune")
        clocked = next(one for one in history.script.poles if one.name == pole.name).clock
        clocked = clocked and not self.faults("no_rtc")
        unsure = ("clock_step",) if clocked else ("clock_step", "power_cut")
        self.doubts_since_ns = min(
            (ns_of(one.at_s) for one in self._steps() if one.do in unsure), default=None
        )
        """From when on its clock may be wrong, or not be trusted; None: never."""
        self.clock_is_right = self.doubts_since_ns is None
        self.forgot = any(one.do == "broker_down" and not one.keeps for one in history.script.steps)
        self.off_for_good = any(
            one.do == "power_cut" and ns_of(one.end_s) >= self.end_ns for one in self._steps()
        )

    def of_tone(self, tone: int) -> Warned | None:
        """Return whose tone that is."""
        return next((one for one in self.warnings if tone in one.tones), None)

    def kept(self, at_ns: int) -> bool:
        """Return whether what was told then was on the disk before the power went."""
        ends = [end for start, end in self._pole.on if start <= at_ns < end]
        if not ends:
            return True
        quick_ns = ends[0] - at_ns > NS_PER_S
        slow = self._active("disk_full", "disk_slow", at_ns, ends[0])
        return quick_ns and not slow

    def reachable_until(self, since_ns: int, wait_ns: int) -> int | None:
        """Return the end of the first stretch of `wait_ns` after `since_ns` without a hindrance.

        The pole was on and connected for all of it; None when there is no such stretch.
        """
        for on_start, on_end in self._pole.on:
            for start, end in self._pole.connected:
                begin_ns = max(start + _FIRST_NS, on_start, since_ns)
                limit_ns = min(end, on_end, self.end_ns)
                for hindered in self._hindrances():
                    if hindered[0] <= begin_ns < hindered[1]:
                        begin_ns = hindered[1]
                clear = not any(
                    one[0] < begin_ns + wait_ns and one[1] > begin_ns for one in self._hindrances()
                )
                if begin_ns + wait_ns <= limit_ns and clear:
                    return begin_ns + wait_ns
        return None

    def may_sound(self, warning: Warned, start_ns: int, end_ns: int) -> bool:
        """Return whether nothing keeps a warning from the horn between the two times."""
        on = any(a <= start_ns and b >= end_ns for a, b in self._pole.on)
        card = not self._active("card_gone", "cpu_throttle", start_ns, end_ns)
        # One that was lost with the power later has ended it all the same, until then.
        ended = any(
            at_ns <= end_ns and (kept or any(a <= at_ns and b >= end_ns for a, b in self._pole.on))
            for at_ns, kept in self._ends_of(warning)
        )
        ended = ended or self._clock_ends(warning, end_ns)
        return on and card and not ended and not self._others(warning, start_ns, end_ns)

    def ends_of_others(self, warning: Warned) -> list[int]:
        """Return when each other warning of the same or a higher standing had its last record."""
        return [
            max(told.at_ns for told, _ in one.emitted)
            for one in self.warnings
            if one is not warning and one.rank >= warning.rank and one.emitted
        ]

    def faults(self, kind: str) -> list[Step]:
        """Return the steps of a kind that befall this pole."""
        return [one for one in self._steps() if one.do == kind]

    def left_s(self) -> float:
        """Return for how long the node has not been connected at the end."""
        return (self.end_ns - max((end for _, end in self._pole.connected), default=0)) / NS_PER_S

    def muted_for(self, tier: Tier) -> list[Span]:
        """Return from when to when what a tier plays was muted here, by orders that were obeyed.

        Nobody mutes who stands above.
        """
        above = TIERS[: TIERS.index(tier) + 1]
        orders = {one.data: one for one in self.given}
        muted_until: dict[Tier, int] = {}  # each authority has a mute of its own
        spans: list[Span] = []
        since_ns = 0
        for came in self._pole.came:
            given = orders.get(came.data)
            if given is None or came.fate not in ("obeyed", MUTED_FROM_ABOVE):
                continue
            spans += _muted(since_ns, came.at_ns, muted_until)
            since_ns, step = came.at_ns, given.step
            if step.do == "mute" and step.by in above:
                until_ns = given.at_ns + step.ttl_s * NS_PER_S
                muted_until[step.by] = max(until_ns, muted_until.get(step.by, 0))
            elif step.do == "unmute":  # its own tier's, and those of whoever stands below
                for lower in TIERS[TIERS.index(step.by) :]:
                    muted_until.pop(lower, None)
            elif step.do == "revoke":
                muted_until.pop(step.by, None)
        return spans + _muted(since_ns, self.end_ns, muted_until)

    def not_kept(self, given: Given) -> bool:
        """Return whether a disk that took nothing lost an order with the power.

        The node lets the broker forget such an order after `_DISK_WAIT_NS`, or it got no other.
        """
        took_ns = next((one.at_ns for one in self._pole.came if one.data == given.data), None)
        if took_ns is None:
            return False
        waited_ns = took_ns + _DISK_WAIT_NS
        off_ns = next((end for start, end in self._pole.on if start <= took_ns < end), self.end_ns)
        full = any(
            one.do in ("disk_full", "disk_slow")
            and ns_of(one.at_s) <= took_ns + NS_PER_S
            and ns_of(one.end_s) + ns_of(one.amount) + NS_PER_S >= min(waited_ns, off_ns)
            for one in self._steps()
        )
        return full and off_ns < self.end_ns and off_ns >= waited_ns and not self.kept(took_ns)

    @property
    def owed(self) -> list[Given]:
        """Return the orders that should have come by now: they are not void, and nobody lost them.

        A broker that comes back without its database has forgotten what waited.
        """
        if self.forgot:
            return []
        came = {one.data for one in self._pole.came}
        settled_ns = self.end_ns - 60 * NS_PER_S
        return [
            one
            for one in self.given
            if one.data not in came
            and one.at_ns < settled_ns < one.at_ns + one.step.ttl_s * NS_PER_S
        ]

    def _others(self, warning: Warned, start_ns: int, end_ns: int) -> bool:
        """Return whether a warning of the same or a higher standing is under way."""
        for one in self.warnings:
            if one is warning or one.came_ns is None or one.rank < warning.rank:
                continue
            until_ns = max((told.at_ns for told, _ in one.emitted), default=self.end_ns)
            if one.came_ns <= end_ns and until_ns >= start_ns - NS_PER_S:
                return True
        return False

    def _forgotten(self, at_ns: int) -> bool:
        """Return whether what came then went with the power, before it was on the disk."""
        ends = [end for start, end in self._pole.on if start <= at_ns < end]
        return bool(ends) and ends[0] < self.end_ns and not self.kept(at_ns)

    def _clock_ends(self, warning: Warned, end_ns: int) -> bool:
        """Return whether a clock that is ahead has ended a warning by then.

        A node believes a clock that is called synchronised, at its receipt and when it starts: what
        is over by it is over. One that is set ahead later does so after `GRACE_NS`.
        """
        if warning.came_ns is None:
            return False
        over_ns = warning.given.at_ns + warning.given.step.lasts_s * NS_PER_S
        seen = [warning.came_ns]
        seen += [start for start, _ in self._pole.on if warning.came_ns < start < end_ns]
        return any(
            one.do == "clock_step"
            and end_ns + ns_of(one.amount) >= over_ns
            and (
                any(ns_of(one.at_s) <= seen_ns < ns_of(one.end_s) for seen_ns in seen)
                or ns_of(one.at_s) + GRACE_NS <= end_ns
            )
            for one in self._steps()
        )

    def _warning(self, given: Given) -> Warned:
        pole = self._pole
        found = Warned(given, tones_of(given.step.event))
        met = [one for one in pole.came if one.data == given.data and one.fate != "replayed"]
        # It is refused, and taken later, where a revocation was lost with the power in between.
        taken = [one for one in met if one.fate in ("waiting", "known")]
        if met:
            found.fate = (taken or met)[0].fate
        if taken:
            found.came_ns = taken[0].at_ns
        found.records = [
            record
            for told in pole.reported
            if (record := told.record) is not None and record.name == found.name
        ]
        found.emitted = [
            (told, record)
            for told in pole.emitted
            if (record := told.record) is not None and record.name == found.name
        ]
        found.ended_ns = self._ended_ns(found)
        return found

    def _ended_ns(self, warning: Warned) -> int | None:
        """Return when a cancel or a revocation that counts, and was kept, came to the pole."""
        return min((at_ns for at_ns, kept in self._ends_of(warning) if kept), default=None)

    def _ends_of(self, warning: Warned) -> list[tuple[int, bool]]:
        """Return when cancels and revocations that end a warning came, and whether they stayed."""
        enders = {one.data for one in self.given if _ends(one.step, warning.given.step)}
        return [
            (one.at_ns, not self._forgotten(one.at_ns))
            for one in self._pole.came
            if one.data in enders and one.fate in CANCELS | {"obeyed"}
        ]

    def _steps(self) -> list[Step]:
        name = self._pole.name
        return [one for one in self._script.steps if one.pole in ("", name)]

    def _active(self, first: str, second: str, start_ns: int, end_ns: int) -> bool:
        return any(
            one.do in (first, second) and ns_of(one.at_s) < end_ns and ns_of(one.end_s) > start_ns
            for one in self._steps()
        )

    def _hindrances(self) -> list[Span]:
        """Return when links, broker or disk were in the way; a half-open link is until it ends."""
        found = []
        for one in self._steps():
            if one.do in _IN_THE_WAY:
                after_s = 2.0 if one.do.startswith("disk") else 8.0
                found.append((ns_of(one.at_s), ns_of(one.end_s + after_s)))
            elif one.do == "half_open":
                at_ns = ns_of(one.at_s)
                ends = [end for start, end in self._pole.connected if start <= at_ns < end]
                found.append((at_ns, min(ends, default=at_ns)))
        return sorted(found)


def _muted(since_ns: int, until_ns: int, muted_until: dict[Tier, int]) -> list[Span]:
    """Return the part of a span that lies before the end of the longest mute: none or one."""
    end_ns = min(until_ns, max(muted_until.values(), default=0))
    return [(since_ns, end_ns)] if end_ns > since_ns else []


def _ends(order: Step, warning: Step) -> bool:
    """Return whether an order that is obeyed ends a warning."""
    if order.do == "revoke":
        return order.by == warning.by
    return order.do == "cancel" and order.about == warning.number and order.by == warning.by
