"""Who has the horn: the arbiter between live sources, by the rules of `node.control.precedence`."""

from dataclasses import dataclass
from typing import Final

from node.control.precedence import (
    CLASSES,
    RAMP_MAX_MS,
    SILENT_DB,
    MessageClass,
    PriorityConfig,
    matrix,
)
from node.units import NS_PER_MS

__all__ = [
    "RAMP_MAX_MS",
    "Arbiter",
    "Grant",
    "HolderChanged",
    "MessageClass",
    "PriorityConfig",
    "matrix",
]

SOURCES_MAX: Final = 64
"""Sources known at once: live streams of the receiver (up to 16) and stored items in waiting."""

CHANGES_MAX: Final = 256  # one per call at most; the caller takes them after each call


@dataclass(frozen=True, slots=True)
class Grant:
    """A source that may sound now, and how loud."""

    source: int
    gain_db: float


@dataclass(frozen=True, slots=True)
class HolderChanged:
    """The horn went from `previous` to `source` (None: nobody) at `at_ns`."""

    source: int | None
    previous: int | None
    at_ns: int


@dataclass(slots=True)
class _Source:
    message_class: MessageClass
    rank: int
    hold_ns: int
    order: int = 0
    live_until_ns: int = -1


class Arbiter:
    """Give the horn to the live source of highest rank; live is its hold since the last packet."""

    def __init__(self, config: PriorityConfig) -> None:
        self._config = config
        self._sources: dict[int, _Source] = {}
        self._order = 0
        self._grants: tuple[Grant, ...] = ()
        self._events: list[HolderChanged] = []

    def set_source(self, source: int, message_class: MessageClass, level: str) -> bool:
        """Make `source` known, or change what it is; it counts from its next packet on.

        Parameters
        ----------
        source : int
            SSRC of a stream, or a negative number for what the node plays by itself.
        message_class : MessageClass
            Its class.
        level : str
            One of the configured tiers.

        Returns
        -------
        bool
            False when the level is unknown or `SOURCES_MAX` others are known already.
        """
        if level not in self._config.tiers:
            return False
        rank = self._config.rank(message_class, level)
        hold_ns = self._config.hold_ms[CLASSES[message_class]] * NS_PER_MS
        known = self._sources.get(source)
        if known is not None:
            known.message_class, known.rank, known.hold_ns = message_class, rank, hold_ns
            return True
        if len(self._sources) >= SOURCES_MAX:
            return False
        self._sources[source] = _Source(message_class, rank, hold_ns)
        return True

    def forget(self, source: int, now_ns: int) -> None:
        """Drop all knowledge of `source`; its later packets are ignored."""
        if self._sources.pop(source, None) is not None:
            self._decide(now_ns)

    def receive_packet(self, source: int, now_ns: int, *, silent_ns: int = 0) -> None:
        """Note that `source` sounds, or did `silent_ns` ago: who was silent too long is not live.

        Unknown ones are ignored: the network is not trusted.
        """
        one = self._sources.get(source)
        if one is None:
            return
        until_ns = now_ns - silent_ns + one.hold_ns
        if one.live_until_ns > now_ns:
            one.live_until_ns = max(one.live_until_ns, until_ns)
            if self._grants and self._grants[0].source == source:
                return
        elif until_ns > now_ns:
            back = now_ns - one.live_until_ns < self._config.retake_ms * NS_PER_MS
            returning = one.live_until_ns >= 0 and back
            self._order += 1
            newest_wins = self._config.tie_break == "newest"
            one.order = -self._order if newest_wins and not returning else self._order
            one.live_until_ns = until_ns
        self._decide(now_ns)

    def keep(self, source: int, sounded_ns: int) -> None:
        """Note until when a source has sounded that had the horn all the time."""
        one = self._sources.get(source)
        if one is not None:
            one.live_until_ns = max(one.live_until_ns, sounded_ns + one.hold_ns)

    def release(self, source: int, now_ns: int) -> None:
        """End `source` now (BYE, end of file, end of session); it may start again as new."""
        one = self._sources.get(source)
        if one is not None:
            one.live_until_ns = -1
            self._decide(now_ns)

    def handle_deadline(self, now_ns: int) -> None:
        """Take the horn from sources whose hold ended at or before `now_ns`."""
        self._decide(now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when the hold of a sounding source ends, or None when nothing is pending."""
        return min((self._sources[g.source].live_until_ns for g in self._grants), default=None)

    def next_event(self) -> HolderChanged | None:
        """Return the oldest change of holder not yet taken, or None."""
        return self._events.pop(0) if self._events else None

    def granted(self) -> int | None:
        """Return the source that has the horn, or None: then the output is exact silence."""
        return self._grants[0].source if self._grants else None

    def grants(self) -> tuple[Grant, ...]:
        """Return who sounds: the holder at 0 dB, then at most one ducked under it."""
        return self._grants

    def _decide(self, now_ns: int) -> None:
        previous = self.granted()
        live = [
            (-one.rank, one.order, source)
            for source, one in self._sources.items()
            if one.live_until_ns > now_ns
        ]
        if not live:
            self._grants = ()
        else:
            # The source number settles what is left, so that every node decides alike.
            live.sort()
            self._grants = self._with_ducked([source for _, _, source in live])
        holder = self.granted()
        if holder != previous:
            assert len(self._events) < CHANGES_MAX, "the caller does not take the changes"
            self._events.append(HolderChanged(holder, previous, now_ns))

    def _with_ducked(self, ordered: list[int]) -> tuple[Grant, ...]:
        upper = self._sources[ordered[0]].message_class
        for source in ordered[1:]:
            lower = self._sources[source].message_class
            gain_db = self._config.gain_under_db(upper, lower)
            if gain_db > SILENT_DB:
                return (Grant(ordered[0], 0.0), Grant(source, gain_db))
        return (Grant(ordered[0], 0.0),)
