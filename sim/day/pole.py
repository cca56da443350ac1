"""One node for a day in virtual time: the daemon's own parts, from one decision to the next.

While nothing sounds time jumps to the next deadline; while something does the card asks for its
periods, finely after each event and in large steps between them.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import NodeConfig
from node.control.events import StartPart
from node.control.loudness.regulation import RuleFile
from node.control.settings import ControlConfig
from node.control.trust.signature import Signer
from node.counters import ORIGINS
from node.events import Persist, SourceChanged
from node.governed import GovernedSpeaker
from node.opus.protocol import DecoderFactory
from node.source.stored_sound import Recording
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S, ns_to_samples
from sim.day.diary import WatchedController
from sim.day.observer import Observer
from sim.gateway.power import Uptime

FINE_NS: Final = 10 * NS_PER_MS
COARSE_NS: Final = 80 * NS_PER_MS
"""Steps while something sounds. The speaker takes up to 4096 samples at a time."""

FINE_FOR_NS: Final = 3 * NS_PER_S
"""Steps are fine for so long after an event."""

DRAIN_NS: Final = NS_PER_S
"""After the last sound the card still asks for so long; its output is silence then."""

READ_CLOCK_NS: Final = 60 * NS_PER_S
"""The daemon reads the civil clock every minute."""

CLOCK_SYNC_NS: Final = 30 * NS_PER_S
"""From the end of a boot to a civil clock that the kernel calls synchronised, without a clock on
the board; an assumption."""

_BOOTED_NS: Final = 3600 * NS_PER_S
"""What the monotonic clock shows at the midnight with which the day begins."""

_PERIOD_SAMPLES: Final = 480

Listener = Callable[[NDArray[np.float32], int], None]
_TOPIC: Final = "cmd"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What a node of the day is built of at each boot."""

    node: NodeConfig
    control: ControlConfig
    rules: tuple[RuleFile, ...]
    library: Mapping[str, Recording]
    signer: Signer
    decoder_factory: DecoderFactory | None
    midnight_s: int
    has_rtc: bool
    lead_ns: int
    """From the moment at which the card asks for a period to its first sample in the horn."""

    cpu_load: float = 0.0
    """Share of one period that the CPU takes to play one."""


class DayPole:
    """A node and its day.

    Parameters
    ----------
    parts : NodeParts
        Of the node.
    orders : list of (int, bytes)
        What arrives, ns into the day and the signed bytes, in order.
    card_cuts_ns : sequence of (start, end)
        When its sound card is gone, ns into the day.
    listener : callable, optional
        Gets (n, 1) float32 and when its first sample leaves the horn, ns into the day.
    """

    def __init__(
        self,
        parts: NodeParts,
        orders: list[tuple[int, bytes]],
        *,
        card_cuts_ns: Sequence[tuple[int, int]] = (),
        listener: Listener | None = None,
    ) -> None:
        self._parts = parts
        self._card_cuts_ns = tuple(card_cuts_ns)
        self._orders = deque(orders)
        self.observer = Observer(
            parts.node.name,
            lambda now_ns: now_ns - _BOOTED_NS,
            lead_ns=parts.lead_ns if parts.node.amplifier.is_driven else None,
        )
        self.origin_samples = np.zeros(ORIGINS, np.int64)
        self._store: dict[str, bytes] = {}
        self._scratch = np.zeros((ns_to_samples(2 * COARSE_NS), 1), np.float32)
        self._listener = listener

    def run(self, uptimes: list[Uptime]) -> None:
        """Live through the day."""
        for up in uptimes:
            self._boot()
            self._live(up, trusted_ns=self._trusted_ns(up, first=up.start_ns == 0))
            self.origin_samples += self._speaker.origin_samples()
            self.observer.note_power_cut(up.end_ns)

    def _trusted_ns(self, up: Uptime, *, first: bool) -> int:
        ready = first or self._parts.has_rtc
        return up.start_ns if ready else up.start_ns + CLOCK_SYNC_NS

    def _boot(self) -> None:
        parts = self._parts
        self._speaker = SpeakerNode(
            parts.node, decoder_factory=parts.decoder_factory, priority=parts.control.priority
        )
        self._controller = WatchedController(
            parts.node.name, parts.control, parts.rules, self._store, parts.signer
        )
        self.observer.watch(self._controller)
        self._begun, self._controller.begun = self._controller.begun, self._note_begin
        delay_ms = parts.node.jitter.playout_delay_ms
        self._node = GovernedSpeaker(
            self._speaker, self._controller, parts.library, playout_delay_ms=delay_ms
        )
        self._fine_until_ns = 0
        self._rendered_ns = -1
        self._drained_ns = 0
        self._mute = False

    def _live(self, up: Uptime, *, trusted_ns: int) -> None:
        """Go from event to event until the power goes."""
        now_ns = up.start_ns
        read_ns = now_ns
        while now_ns < up.end_ns:
            if now_ns >= read_ns:
                utc_ns = self._parts.midnight_s * NS_PER_S + now_ns
                local_ns = now_ns + _BOOTED_NS
                self._node.receive_time(utc_ns, local_ns, synchronised=now_ns >= trusted_ns)
                self.observer.diary.note_volume(self._controller, local_ns, now_ns)
                read_ns = now_ns + READ_CLOCK_NS - now_ns % READ_CLOCK_NS
                if now_ns < trusted_ns:
                    read_ns = min(read_ns, trusted_ns)
            self._look_at_card(now_ns)
            self._take_orders(now_ns)
            self._node.handle_deadline(now_ns + _BOOTED_NS)
            self._take_events(now_ns)
            self._render(now_ns)
            now_ns = max(min(self._next_ns(now_ns), read_ns, up.end_ns), now_ns + 1)

    def _next_ns(self, now_ns: int) -> int:
        """Return when something happens next."""
        ends_ns = [1 << 62, *(at for cut in self._card_cuts_ns for at in cut if at > now_ns)]
        if self._orders:
            ends_ns.append(self._orders[0][0])
        if self._sounds(now_ns):
            step_ns = FINE_NS if now_ns < self._fine_until_ns else COARSE_NS
            ends_ns.append(now_ns + step_ns - now_ns % step_ns)
            due_ns = self._controller.next_deadline_ns()
        else:
            due_ns = self._node.next_deadline_ns()
        if due_ns is not None:
            ends_ns.append(due_ns - _BOOTED_NS)
        return min(ends_ns)

    def _sounds(self, now_ns: int) -> bool:
        """Whether the card is to ask: something plays or waits for the horn, or just ended."""
        if self._controller.active or self._speaker.sounding():
            self._drained_ns = now_ns + DRAIN_NS
        return now_ns < self._drained_ns

    def _look_at_card(self, now_ns: int) -> None:
        """Tell the node, as its shell does, when its sound card goes and comes."""
        mute = any(start <= now_ns < end for start, end in self._card_cuts_ns)
        if mute != self._mute:
            self._mute = mute
            self._node.receive_sink(now_ns + _BOOTED_NS, sounds=not mute)
            self._take_events(now_ns)
            self.observer.note_card_change(now_ns)

    def _take_orders(self, now_ns: int) -> None:
        while self._orders and self._orders[0][0] <= now_ns:
            _, data = self._orders.popleft()
            self._fine_until_ns = now_ns + FINE_FOR_NS
            self._node.receive_message(_TOPIC, data, now_ns + _BOOTED_NS)
            self.observer.note_order(data, now_ns)
            self._take_events(now_ns)

    def _render(self, now_ns: int) -> None:
        """Let the card ask for what it is to have by now, in whole periods."""
        if self._mute or not self._sounds(now_ns):
            self._rendered_ns = -1
            return
        if self._rendered_ns < 0:
            self._rendered_ns = now_ns - now_ns % FINE_NS + self._parts.lead_ns
        count = (now_ns + self._parts.lead_ns - self._rendered_ns) // FINE_NS
        if count > 0:
            out = self._scratch[: count * _PERIOD_SAMPLES]
            self._node.render(out, self._rendered_ns + _BOOTED_NS)
            if self._listener is not None:
                self._listener(out, self._rendered_ns)
            self._rendered_ns += count * FINE_NS
            self._take_events(now_ns)
        self.observer.note_sound(now_ns + _BOOTED_NS)

    def _take_events(self, now_ns: int) -> None:
        """Do what the shell does with events, and write down what they say."""
        while (event := self._node.next_event()) is not None:
            if isinstance(event, Persist):
                self._store[event.key] = event.value
            elif isinstance(event, SourceChanged):
                self._fine_until_ns = now_ns + FINE_FOR_NS
            self.observer.note_event(event)

    def _note_begin(self, part: StartPart, now_ns: int) -> None:
        self._fine_until_ns = now_ns - _BOOTED_NS + FINE_FOR_NS
        self._begun(part, now_ns)
