"""The sound of a node as `benchmarks.control.orders` sees it: who may be heard, as what, how loud.

It stands in for `node.stack.SpeakerNode`: nothing is decoded. Of those who speak the highest has
the horn, by the rules of the node.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.control.precedence import MessageClass, PriorityConfig
from node.counters import COUNTS
from node.source.stored_sound import Recording
from node.units import NS_PER_S

_RULES: Final = PriorityConfig()
_LIVE_NS: Final = 2 * NS_PER_S
_ENDLESS_NS: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Heard:
    """What a source is."""

    message_class: MessageClass
    level: str
    gain_db: float


class Stored:
    """A source of stored sounds that never comes to its end."""

    left_ns: Final = _ENDLESS_NS
    finished: Final = False

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.plays = False

    def play(self, recording: Recording, duration_s: int, begin_ns: int = 0) -> None:
        """Begin."""
        self.plays = True

    def give_up(self) -> None:
        """End."""
        self.plays = False

    def take_rewound_ns(self) -> int:
        """Return 0: nothing is said twice."""
        return 0


class Horn:
    """All sources that may be heard."""

    retransmission_payload_type: Final = -1
    mute_release_ns: Final = 0

    def __init__(self) -> None:
        self.sources: dict[int, Heard] = {}
        self._stored: dict[int, Stored] = {}
        self._spoke_ns: dict[int, int] = {}
        self.now_ns = 0

    @property
    def counts(self) -> NDArray[np.int64]:
        """Return what was counted, nothing: (COUNTS,) int64."""
        return np.zeros(COUNTS, np.int64)

    def receive_from_neighbour(self, data: bytes, source: tuple[str, int], now_ns: int) -> bool:
        """Return that it was for the node."""
        return False

    def receive_datagram(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_authentic: bool
    ) -> None:
        """Note who spoke: what comes here has passed every check."""
        self._spoke_ns[int.from_bytes(data[8:12], "big")] = now_ns

    def handle_deadline(self, now_ns: int) -> None:
        """Note the time."""
        self.now_ns = now_ns

    def next_deadline_ns(self) -> int | None:
        """Return that nothing is pending."""
        return None

    def wake(self, now_ns: int) -> None:
        """Have no amplifier."""

    def next_event(self) -> None:
        """Return that there is nothing to tell."""

    def source(self, ssrc: int) -> None:
        """Return nothing: nothing is decoded here."""

    def hold_stored(self, ssrc: int, now_ns: int) -> Stored:
        """Return a new source of stored sounds."""
        return self._stored.setdefault(ssrc, Stored(ssrc))

    def set_source(
        self, ssrc: int, message_class: MessageClass, level: str, *, gain_db: float
    ) -> None:
        """Note what a source is."""
        self.sources[ssrc] = Heard(message_class, level, gain_db)

    def end_source(self, ssrc: int, now_ns: int) -> None:
        """Forget what it was."""
        self.sources.pop(ssrc, None)
        self._spoke_ns.pop(ssrc, None)

    def sounding(self) -> tuple[int, ...]:
        """Return who has the horn: the highest of those who speak, the first of equals."""
        live = [ssrc for ssrc in self.sources if self._speaks(ssrc)]
        return () if not live else (max(live, key=self._rank),)

    def streams(self) -> dict[int, Heard]:
        """Return the live streams that may be heard."""
        return {ssrc: one for ssrc, one in self.sources.items() if ssrc not in self._stored}

    def let_in(self, ssrc: int, now_ns: int) -> bool:
        """Return whether the packet that came just now was taken for sound."""
        return self._spoke_ns.get(ssrc) == now_ns

    def _speaks(self, ssrc: int) -> bool:
        if ssrc in self._stored:
            return self._stored[ssrc].plays
        return self.now_ns < self._spoke_ns.get(ssrc, -_LIVE_NS) + _LIVE_NS

    def _rank(self, ssrc: int) -> int:
        one = self.sources[ssrc]
        return _RULES.rank(one.message_class, one.level)
