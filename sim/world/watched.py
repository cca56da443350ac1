"""The speaker of a pole in the world, with somebody who looks on at all that comes and goes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from node.events import Event
from node.governed import GovernedSpeaker
from node.units import samples_to_ns

if TYPE_CHECKING:
    from sim.world.pole import WorldPole


class Watched:
    """The speaker: what comes and goes passes through unchanged."""

    def __init__(self, speaker: GovernedSpeaker, pole: "WorldPole") -> None:
        self._speaker = speaker
        self._pole = pole
        self.signs = speaker.signs
        self.cut = False
        """The machine is off: a timer that was set before does nothing."""

    def receive_datagram(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Take a datagram."""
        self._pole.card.catch_up(self.render)
        self._pole.card.wake()
        self._speaker.receive_datagram(data, source, now_ns)

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> None:
        """Take an order."""
        self._pole.card.catch_up(self.render)
        self._pole.card.wake()
        self._speaker.receive_message(topic, payload, now_ns)
        self._pole.note_order(payload)

    def handle_deadline(self, now_ns: int) -> None:
        """Do what is due."""
        if self.cut:
            return
        self._pole.card.catch_up(self.render)
        self._speaker.handle_deadline(now_ns)
        if self._pole.sounds():
            self._pole.card.wake()

    def next_deadline_ns(self) -> int | None:
        """Return when something is due next."""
        return None if self.cut else self._speaker.next_deadline_ns()

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out` with what is heard then: (n, channels) float32, full scale 1.0."""
        live = self._pole.live
        if live is not None and live.runs:
            live.catch_up()
            out[:] = 0.0
            self._pole.note_sound(() if live.is_late else None)
        else:
            self._speaker.render(out, presentation_ns)
            until_ns = presentation_ns + samples_to_ns(out.shape[0])
            if self._pole.too_slow:  # the card has played silence by the time that it is there
                self._pole.card.miss(out.shape[0])
                out[:] = 0.0
                self._pole.note_sound((), until_ns)
                return
            self._pole.note_sound(self._speaker.sounding(), until_ns)

    def rests(self, unasked: int = 0) -> bool:
        """Return False: who looks on is to see each period."""
        return False

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Learn whether the card sounds."""
        self._speaker.receive_sink(now_ns, sounds=sounds)
        if self._pole.sounds():
            self._pole.card.wake()

    def leave(self) -> None:
        """Say goodbye."""
        self._speaker.leave()

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken, or None."""
        event = None if self.cut else self._speaker.next_event()
        if event is not None:
            self._pole.note_event(event)
        return event

    def status(self) -> dict[str, object]:
        """Return what the speaker tells of itself."""
        return self._speaker.status()
