"""Who sounds and how loud: the arbiter's grants become a mix of receivers."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.gain import gain_of_db
from node.audio.mixer import Mixer
from node.control.arbiter import Arbiter, MessageClass, PriorityConfig
from node.source import state as ss
from node.source.receiver import SPELL_NS, Receiver
from node.units import NS_PER_MS

REFRESH_NS: Final = 100 * NS_PER_MS
"""A playing source confirms its hold on the horn so often, not with every packet."""

_RAMP_DB: Final = 100
"""From full scale to silence: what the ramps of the configuration are the length of."""


class Horn:
    """The one output that all sources of a node share.

    Parameters
    ----------
    sources_max : int
        Receivers that may wait or sound at once.
    channels : int
        Of the output.
    priority : PriorityConfig
        Who goes before whom.
    """

    def __init__(self, sources_max: int, channels: int, priority: PriorityConfig) -> None:
        self.arbiter = Arbiter(priority)
        self._unknown = (MessageClass.NORMAL, priority.commune_tier)
        self.holder: Receiver | None = None
        self.alone: Receiver | None = None
        """The only source, at full level: until `confirmed_ns` its sound is the node's."""
        self.confirmed_ns = 0
        self._receivers: dict[int, Receiver] = {}
        self._sounding: list[Receiver] = []
        self._kinds: dict[int, tuple[MessageClass, str]] = {}
        self._gains_db: dict[int, float] = {}
        self._mixer = Mixer(
            sources_max,
            attack_db_per_s=_RAMP_DB * 1000 / priority.ramp_ms,
            release_db_per_s=_RAMP_DB * 1000 / priority.return_ms,
        )
        self._places = list(range(sources_max))
        self._scratch = np.zeros((ss.PERIOD_SAMPLES_MAX, channels), np.float32)

    def add(self, receiver: Receiver) -> None:
        """Let a new source wait for the horn."""
        receiver.place = self._places.pop()
        self._receivers[receiver.ssrc] = receiver
        kind = self._kinds.get(receiver.ssrc, self._unknown)
        self.arbiter.set_source(receiver.ssrc, *kind)
        self.alone = None

    def remove(self, receiver: Receiver, now_ns: int) -> None:
        """Give a source up, and its place to others."""
        receiver.stop()
        del self._receivers[receiver.ssrc]
        self._mixer.clear(receiver.place)
        self._places.append(receiver.place)
        self.arbiter.forget(receiver.ssrc, now_ns)

    def is_sounding(self, receiver: Receiver) -> bool:
        """Return whether a source sounds now, also while it fades."""
        return receiver in self._sounding

    def set_source(
        self, ssrc: int, message_class: MessageClass, level: str, *, gain_db: float
    ) -> None:
        """Say what a source is and how loud, before it speaks or while it does."""
        self._kinds[ssrc] = (message_class, level)
        self._gains_db[ssrc] = gain_db
        if ssrc in self._receivers:
            self.arbiter.set_source(ssrc, message_class, level)

    def end_source(self, ssrc: int, now_ns: int) -> None:
        """Take the horn from a source at once, and forget what it was."""
        self._kinds.pop(ssrc, None)
        self._gains_db.pop(ssrc, None)
        self.arbiter.forget(ssrc, now_ns)

    def rest(self, now_ns: int) -> bool:
        """Let nobody sound, for want of a card; return whether anybody did."""
        sounded = bool(self._sounding)
        for receiver in self._sounding:
            receiver.stop()
            self._mixer.clear(receiver.place)
        self._sounding.clear()
        self.holder = self.alone = None
        # The holder last: else each in turn would have the horn for a moment.
        for ssrc in sorted(self._receivers, key=lambda one: one == self.arbiter.granted()):
            self.arbiter.release(ssrc, now_ns)
        return sounded

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> bool:
        """Decide who sounds and mix it into `out`; return whether anybody does.

        out  (n, channels) float32, full scale 1.0; left as it is where nobody sounds
        """
        self.alone = None
        if self._receivers:
            self._arbitrate(presentation_ns, out.shape[0])
        if self._sounding:
            self._mix(out, presentation_ns)
        only = self._sounding[0] if len(self._receivers) == 1 and self._sounding else None
        if only is not None and self._is_level(only):
            self.alone = only  # until the next confirmation is due
        return bool(self._sounding)

    def _arbitrate(self, presentation_ns: int, n: int) -> None:
        """Decide which sources sound in this period, and how loud."""
        for ssrc, receiver in self._receivers.items():
            if receiver in self._sounding:
                self._confirm(receiver, presentation_ns)
            elif receiver.is_due(presentation_ns, n):
                self._take_over(receiver, presentation_ns)
                self.arbiter.receive_packet(ssrc, presentation_ns)
        self.arbiter.handle_deadline(presentation_ns)
        self._follow_grants()

    def _take_over(self, receiver: Receiver, presentation_ns: int) -> None:
        """End the sources that the sender of `receiver` has given up: it has begun this one since.

        From the same socket at once; from another one on the same host when they have been silent
        for longer than a sender that only pauses.
        """
        for one in self._sounding:
            if one is receiver or one.address[0] != receiver.address[0] or one.buffer.is_held:
                continue
            silent_ns = presentation_ns - one.last_arrival_ns
            is_same = one.address == receiver.address or silent_ns > SPELL_NS
            has_begun_since = one.last_arrival_ns < receiver.resumed_ns
            if is_same and has_begun_since and one.last_sound_ns <= presentation_ns:
                self.arbiter.release(one.ssrc, presentation_ns)

    def _confirm(self, receiver: Receiver, presentation_ns: int) -> None:
        """Tell the arbiter that a source still sounds, when it does."""
        self.confirmed_ns = presentation_ns + REFRESH_NS
        if not receiver.buffer.is_proven:
            self.arbiter.release(receiver.ssrc, presentation_ns)
        elif receiver.last_sound_ns > presentation_ns - REFRESH_NS:
            self.arbiter.receive_packet(receiver.ssrc, presentation_ns)
        elif receiver.ended:
            self.arbiter.release(receiver.ssrc, presentation_ns)

    def _follow_grants(self) -> None:
        """Turn the arbiter's grants into targets of the mixer."""
        mixer = self._mixer
        grants = {grant.source: grant.gain_db for grant in self.arbiter.grants()}
        for receiver in self._receivers.values():
            gain_db = grants.get(receiver.ssrc)
            own_db = self._gains_db.get(receiver.ssrc, 0.0)
            mixer.targets[receiver.place] = 0.0 if gain_db is None else gain_of_db(gain_db + own_db)
            if gain_db is not None and receiver not in self._sounding:
                if not receiver.has_sounded:
                    mixer.begin(receiver.place)  # its own beginning needs no ramp
                self._sounding.append(receiver)
        granted = self.arbiter.granted()
        self.holder = self._receivers[granted] if granted is not None else None
        for receiver in list(self._sounding):
            if not mixer.sounds(receiver.place):
                receiver.stop()
                mixer.clear(receiver.place)
                self._sounding.remove(receiver)

    def _mix(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out` with all sources that sound."""
        if len(self._sounding) == 1 and self._is_level(self._sounding[0]):
            self._sounding[0].render(out, presentation_ns)
            return
        out[:] = 0.0
        scratch = self._scratch[: out.shape[0]]
        for receiver in self._sounding:
            receiver.render(scratch, presentation_ns)
            self._mixer.mix(out, scratch, receiver.place)

    def _is_level(self, receiver: Receiver) -> bool:
        """Return whether a source passes the mixer as it is."""
        mixer = self._mixer
        return bool(mixer.gains[receiver.place] == 1.0 == mixer.targets[receiver.place])
