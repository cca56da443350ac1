"""The node with the stations that it has joined: their streams come back on the path it opened.

Which ones follows the sessions that are open, and the configuration. What a station answers is not
sound and names no sender, so it is taken here, before anything else looks at it.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.events import Event, SendDatagram
from node.governed import GovernedSpeaker
from node.peers.joining import BROKER, Joining, Station
from node.rtp.join_packet import STRANGER, is_join

STATIONS_MAX: Final = 16
"""As many as sessions."""


class Speaker(Protocol):
    """A node, under orders or not."""

    def receive_datagram(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Take one datagram."""

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> None:
        """Take one MQTT message."""

    def handle_deadline(self, now_ns: int) -> None:
        """Do what is due."""

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next."""

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out` with the sound that leaves at `presentation_ns`.

        out  (n, channels) float32, full scale 1.0
        """

    def rests(self, unasked: int = 0) -> bool:
        """Note `unasked` samples of silence; return whether more come until something else does."""

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note whether the sink asks for sound."""

    def leave(self) -> None:
        """Say goodbye to those whose streams it has."""

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken."""

    def status(self) -> dict[str, object]:
        """Return what a person wants to know."""


class JoinedSpeaker:
    """Join for a speaker, and hand on everything else.

    Parameters
    ----------
    speaker : SpeakerNode or GovernedSpeaker
        The node.
    name : str
        Of the node.
    secret : bytes
        Random, for nonces.
    stations : iterable of Station
        Joined at all times, by the configuration.
    has_broker : bool
        Where no datagram comes through, packets may go by the MQTT session.
    """

    def __init__(
        self,
        speaker: Speaker,
        name: str,
        *,
        secret: bytes,
        stations: Iterable[Station] = (),
        has_broker: bool = False,
    ) -> None:
        self._speaker = speaker
        self._name = name
        self._secret = secret
        self._fixed = tuple(stations)
        self._has_broker = has_broker
        self._joinings: dict[Station, Joining] = {}
        self._left: list[Joining] = []
        self._now_ns = 0

    def receive_datagram(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Take one datagram, from a station or for the speaker."""
        self._now_ns = now_ns
        if is_join(data):
            for one in self._joinings.values():
                if one.receive_datagram(data, source, now_ns):
                    return
        for one in self._joinings.values():
            if one.source == source and data == STRANGER:
                one.receive_stranger(now_ns)
                return
            if one.source == source:
                one.receive_stream(now_ns, sounds=not _is_report(data))
        self._speaker.receive_datagram(data, source, now_ns)

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> None:
        """Take one MQTT message; it may open a session that is to be joined."""
        self._speaker.receive_message(topic, payload, now_ns)
        self._follow(now_ns)

    def handle_deadline(self, now_ns: int) -> None:
        """Do what is due."""
        self._now_ns = now_ns
        self._speaker.handle_deadline(now_ns)
        self._follow(now_ns)
        for one in self._joinings.values():
            one.handle_deadline(now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None when nothing is pending."""
        due = [one.next_deadline_ns() for one in self._joinings.values()]
        if len(self._joinings) < len(self._fixed):
            due.append(0)  # not begun yet
        inner = self._speaker.next_deadline_ns()
        return min(due if inner is None else [*due, inner], default=None)

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out` with the sound that leaves at `presentation_ns`.

        out  (n, channels) float32, full scale 1.0
        """
        self._speaker.render(out, presentation_ns)

    def rests(self, unasked: int = 0) -> bool:
        """Note `unasked` samples of silence; return whether more come until something else does."""
        return self._speaker.rests(unasked)

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note that the sink asks for sound from now on, or that it cannot: its card is gone."""
        self._speaker.receive_sink(now_ns, sounds=sounds)

    def leave(self) -> None:
        """Tell senders and stations that this node goes: what they send then comes to nobody."""
        self._speaker.leave()
        for one in self._joinings.values():
            one.leave()

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken, or None."""
        for one in (*self._joinings.values(), *self._left):
            asked = one.next_event()
            if asked is not None:
                return SendDatagram(*asked)
        self._left.clear()
        event = self._speaker.next_event()
        if isinstance(event, SendDatagram):
            for one in self._joinings.values():
                if one.source == event.destination:
                    one.note_sent(self._now_ns)
        return event

    def status(self) -> dict[str, object]:
        """Return what a person wants to know, JSON-able."""
        told = [
            {
                "station": f"{station.host}:{station.port}",
                "joined": one.source is not None and one.welcomes > 0 and one.tries <= 1,
                "by_broker": one.source == BROKER,
                "welcomes": one.welcomes,
                "refused": one.refused,
            }
            for station, one in self._joinings.items()
        ]
        return self._speaker.status() | ({"joined": told} if told else {})

    def signs(self) -> dict[str, object]:
        """Return of `status` what faults are seen by."""
        signs: Callable[[], dict[str, object]] = getattr(
            self._speaker, "signs", self._speaker.status
        )
        return signs()

    def _follow(self, now_ns: int) -> None:
        """Join what is wanted now, leave the rest."""
        wanted = self._fixed
        if isinstance(self._speaker, GovernedSpeaker):
            wanted = (*wanted, *self._speaker.stations)
        for station in [one for one in self._joinings if one not in wanted]:
            gone = self._joinings.pop(station)
            gone.leave()
            self._left.append(gone)
        for station in wanted[:STATIONS_MAX]:
            if station not in self._joinings:
                self._joinings[station] = Joining(
                    self._name,
                    station,
                    secret=self._secret,
                    now_ns=now_ns,
                    has_broker=self._has_broker,
                )


def _is_report(data: bytes) -> bool:
    """Return whether `data` is RTCP beside RTP on one port (RFC 5761, 4), sealed or not."""
    return len(data) > 1 and 192 <= data[1] <= 223
