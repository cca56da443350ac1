"""Who sounds and how loud: the arbiter's grants become a mix of sources."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.amplifier import Amplifier
from node.audio.gain import gain_of_db
from node.audio.mixer import Mixer
from node.config import NodeConfig
from node.control.arbiter import Arbiter, MessageClass, PriorityConfig
from node.control.precedence import CLASSES
from node.events import AmplifierSwitched
from node.kernel.record import zeros_apart
from node.source import state as ss
from node.source.playable import Playable
from node.units import NS_PER_MS

REFRESH_NS: Final = 100 * NS_PER_MS
"""A source that was heard so lately has the horn without asking. Whoever has ended may be silent
for so long between its last packets."""

RAMP_DB: Final = 100
"""From full scale to silence: what the ramps of the configuration are the length of."""


class Horn:
    """The one output that all sources of a node share.

    Parameters
    ----------
    sources_max : int
        Those that may wait or sound at once.
    config : NodeConfig
        Of the node.
    priority : PriorityConfig
        Who goes before whom.
    counts_only : bool
        Nothing is decoded, nor heard.
    """

    def __init__(
        self,
        sources_max: int,
        config: NodeConfig,
        priority: PriorityConfig,
        *,
        counts_only: bool = False,
    ) -> None:
        driven = config.amplifier.is_driven
        self._amplifier = Amplifier(config.amplifier) if driven else None
        self.arbiter = Arbiter(priority)
        self._unknown = (MessageClass.NORMAL, priority.commune_tier)
        self.holder: Playable | None = None
        self.alone: Playable | None = None
        """The only source, at full level: until `confirmed_ns` its sound is the node's."""
        self.confirmed_ns = 0
        self._sources: dict[int, Playable] = {}
        self._sounding: list[Playable] = []
        self._kinds: dict[int, tuple[MessageClass, str]] = {}
        self._gains_db: dict[int, float] = {}
        self._mixer = Mixer(
            sources_max,
            attack_db_per_s=RAMP_DB * 1000 / priority.ramp_ms,
            release_db_per_s=RAMP_DB * 1000 / priority.return_ms,
        )
        self._places = list(range(sources_max))
        make_room = _unheard if counts_only else _room
        self._scratch = make_room(config.audio.channels)

    def add(self, source: Playable) -> None:
        """Let a new source wait for the horn."""
        source.place = self._places.pop()
        self._sources[source.ssrc] = source
        kind = self._kinds.get(source.ssrc, self._unknown)
        self.arbiter.set_source(source.ssrc, *kind)
        self.alone = None

    def remove(self, source: Playable, now_ns: int) -> None:
        """Give a source up, and its place to others: from now on it does not sound."""
        source.stop()
        del self._sources[source.ssrc]
        if source in self._sounding:  # its place would play it on, under whoever gets that
            self._sounding.remove(source)
        self.holder = None if self.holder is source else self.holder
        self.alone = None
        self._mixer.clear(source.place)
        self._places.append(source.place)
        self.arbiter.forget(source.ssrc, now_ns)

    @property
    def is_mute(self) -> bool:
        """Whether the amplifier is, and waits to be told that something comes."""
        return self._amplifier is not None and self._amplifier.is_mute

    def wake(self, now_ns: int) -> AmplifierSwitched | None:
        """Un-mute the amplifier, if it can be muted: something has come that is to sound."""
        return None if self._amplifier is None else self._amplifier.wake(now_ns)

    def handle_deadline(self, now_ns: int) -> AmplifierSwitched | None:
        """Mute the amplifier when it is time."""
        return None if self._amplifier is None else self._amplifier.handle_deadline(now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None."""
        return None if self._amplifier is None else self._amplifier.next_deadline_ns()

    @property
    def is_empty(self) -> bool:
        """Whether nobody is there who could sound, or does."""
        return not self._sources and not self._sounding

    def is_sounding(self, source: Playable) -> bool:
        """Return whether a source sounds now, also while it fades."""
        return source in self._sounding

    def set_source(
        self, ssrc: int, message_class: MessageClass, level: str, *, gain_db: float
    ) -> None:
        """Say what a source is and how loud, before it speaks or while it does."""
        self._kinds[ssrc] = (message_class, level)
        self._gains_db[ssrc] = gain_db
        if ssrc in self._sources:
            self.arbiter.set_source(ssrc, message_class, level)

    @property
    def class_name(self) -> str | None:
        """Class of what has the horn, or None where nobody has it."""
        if self.holder is None:
            return None
        return CLASSES[self._kinds.get(self.holder.ssrc, self._unknown)[0]]

    def end_source(self, ssrc: int, now_ns: int) -> None:
        """Take the horn from a source at once, and forget what it was."""
        self._kinds.pop(ssrc, None)
        self._gains_db.pop(ssrc, None)
        self.arbiter.forget(ssrc, now_ns)

    @property
    def sole(self) -> Playable | None:
        """Return what sounds alone, as loud as it did, where no other can begin by itself; or None.

        As `alone`, but it may have any loudness, and what waits to be given something may be there.
        """
        if len(self._sounding) != 1:
            return None
        one, mixer = self._sounding[0], self._mixer
        gain, target = mixer.gains[one.place], mixer.targets[one.place]
        if gain != target or target == 0.0:  # what has faded to nothing is about to stop
            return None
        for other in self._sources.values():
            if other is not one and not other.is_at_rest:
                return None
        return one

    def confirm(self) -> None:
        """Note that the `sole` source was heard, as if it had asked for the horn meanwhile."""
        sole = self.sole
        if sole is not None:
            self.confirmed_ns = sole.last_sound_ns + REFRESH_NS
            if self._amplifier is not None:
                self._amplifier.note_sound(self.confirmed_ns)
            self.arbiter.keep(sole.ssrc, sole.last_sound_ns)

    def has_alone(self, presentation_ns: int) -> Playable | None:
        """Return the source that has the horn in this period without asking for it, or None."""
        alone = self.alone
        if alone is None or presentation_ns >= self.confirmed_ns or not alone.buffer.is_proven:
            return None
        return alone

    def rest(self, now_ns: int) -> bool:
        """Let nobody sound, for want of a card; return whether anybody did."""
        sounded = bool(self._sounding)
        for source in self._sounding:
            source.stop()
            self._mixer.clear(source.place)
        self._sounding.clear()
        self.holder = self.alone = None
        # The holder last: else each in turn would have the horn for a moment.
        for ssrc in sorted(self._sources, key=lambda one: one == self.arbiter.granted()):
            self.arbiter.release(ssrc, now_ns)
        return sounded

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> bool:
        """Decide who sounds and mix it into `out`; return whether anybody does.

        out  (n, channels) float32, full scale 1.0; left as it is where nobody sounds
        """
        self.alone = None
        if self._amplifier is not None and self._amplifier.keeps_back(presentation_ns):
            self._keep_back(self._amplifier, presentation_ns, out.shape[0])
            return False
        if self._sources:
            self._arbitrate(presentation_ns, out.shape[0])
        if self._sounding:
            self._mix(out, presentation_ns)
        only = self._sounding[0] if len(self._sources) == 1 and self._sounding else None
        if only is not None and self.passes(only):
            self.alone = only  # until the next confirmation is due
        if self._amplifier is not None and self._sounding:
            self._amplifier.note_sound(presentation_ns + REFRESH_NS)
        return bool(self._sounding)

    def _keep_back(self, amplifier: Amplifier, presentation_ns: int, n: int) -> None:
        """Let nobody begin: a stored sound waits, and of a stream goes what cannot."""
        due = [one for one in self._sources.values() if one.is_due(presentation_ns, n)]
        if due:
            amplifier.want()

    def _arbitrate(self, presentation_ns: int, n: int) -> None:
        """Decide which sources sound in this period, and how loud."""
        self.confirmed_ns = presentation_ns + REFRESH_NS
        for ssrc, source in self._sources.items():
            if source in self._sounding:
                self._confirm(source, presentation_ns)
            elif source.is_due(presentation_ns, n):
                self._take_over(source, presentation_ns)
                self.arbiter.receive_packet(ssrc, presentation_ns)
        self.arbiter.handle_deadline(presentation_ns)
        self._follow_grants()

    def _take_over(self, source: Playable, presentation_ns: int) -> None:
        """End the sources that the sender of `source` has given up: it has begun this one since."""
        for one in self._sounding:
            if one is not source and one.has_given_way(source, presentation_ns):
                self.arbiter.release(one.ssrc, presentation_ns)

    def _confirm(self, source: Playable, presentation_ns: int) -> None:
        """Tell the arbiter when a source was heard last.

        Only that counts, not when it is told: whoever is silent gives the horn back at the same
        time however seldom its node is looked at.
        """
        silent_ns = presentation_ns - source.last_sound_ns
        self.confirmed_ns = min(self.confirmed_ns, source.last_sound_ns + REFRESH_NS)
        if not source.buffer.is_proven or (source.ended and silent_ns >= REFRESH_NS):
            self.arbiter.release(source.ssrc, presentation_ns)
        else:
            self.arbiter.receive_packet(source.ssrc, presentation_ns, silent_ns=silent_ns)

    def _follow_grants(self) -> None:
        """Turn the arbiter's grants into targets of the mixer."""
        mixer = self._mixer
        grants = {grant.source: grant.gain_db for grant in self.arbiter.grants()}
        for source in self._sources.values():
            gain_db = grants.get(source.ssrc)
            own_db = self._gains_db.get(source.ssrc, 0.0)
            gain = 0.0 if gain_db is None else gain_of_db(gain_db + own_db)
            mixer.aim(source.place, gain)
            if gain_db is not None and source not in self._sounding:
                if not source.has_sounded:
                    mixer.begin(source.place)  # its own beginning needs no ramp
                self._sounding.append(source)
        granted = self.arbiter.granted()
        self.holder = self._sources[granted] if granted is not None else None
        for source in list(self._sounding):
            if not mixer.sounds(source.place):
                source.stop()
                mixer.clear(source.place)
                self._sounding.remove(source)

    def _mix(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out` with all sources that sound."""
        if len(self._sounding) == 1 and self.passes(self._sounding[0]):
            self._sounding[0].render(out, presentation_ns)
            return
        out[:] = 0.0
        scratch = self._scratch[: out.shape[0]]
        for source in self._sounding:
            source.render(scratch, presentation_ns)
            self._mixer.mix(out, scratch, source.place)

    def passes(self, source: Playable) -> bool:
        """Return whether a source passes the mixer as it is."""
        mixer = self._mixer
        return bool(mixer.gains[source.place] == 1.0 == mixer.targets[source.place])


def _room(channels: int) -> NDArray[np.float32]:
    """Return room to mix in: (PERIOD_SAMPLES_MAX, channels) float32."""
    return zeros_apart((ss.PERIOD_SAMPLES_MAX, channels), np.float32)


@cache
def _unheard(channels: int) -> NDArray[np.float32]:
    """Return the same for all nodes that count only: nobody hears what is left in it."""
    return _room(channels)
