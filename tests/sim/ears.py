"""An ear at each horn, for days in which each sound is a tone of its own (`sim.swarm.tones`)."""

from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import numpy as np

from node.units import NS_PER_S
from sim.day.answer import answer_of
from sim.station import payloads
from sim.swarm import tones
from sim.village import scenario
from sim.village.places import build_village
from sim.world.stretch import Stretch


class Ear:
    """Notes when which tone leaves the horn, s into the day."""

    def __init__(self, begin_s):
        self._begin_s = begin_s
        self._at_s = {}

    def note_sound(self, sound, leaves_ns):
        if not sound.any():
            return
        loud = tones.amplitudes(sound)
        begin_s = self._begin_s + leaves_ns / NS_PER_S
        for period, which in enumerate(np.argmax(loud, axis=1).tolist()):
            if loud[period, which] > 1e-3:
                self._at_s.setdefault(which, []).append(begin_s + period / 100)

    def heard_s(self, *which, from_s=0.0):
        """Return the instants at which one of these tones sounded, one for each 10 ms of it."""
        return sorted(one for tone in which for one in self._at_s.get(tone, ()) if one >= from_s)

    def note_order(self, payload, fate, at_ns):
        pass

    def note_event(self, event, at_ns):
        pass

    def note_power(self, at_ns, *, on):
        pass


def sound_by_tones(monkeypatch, tone_of):
    """Let each stored sound, by its file's name, be its tone, and a live programme its own."""
    load = payloads.load

    def library(asked, day):
        found = {}
        for phrase in day.alert.phrases.values():
            found[phrase.siren] = tones.recording(tone_of[day.sounds[phrase.siren]], phrase.siren_s)
            for digest in phrase.text.values():
                found[digest] = tones.recording(tone_of[day.sounds[digest]], phrase.text_s)
        for part in [part for item in day.programme.items for part in item.parts]:
            for digest in part.media.values():
                found[digest] = tones.recording(tone_of[day.sounds[digest]], part.duration_s)
        return found

    def programme(path, config):
        whole = load(path, config)
        packets = (tones.payload(tones.LIVE_TONES[0]),) * len(whole.payloads)
        return replace(whole, payloads=packets, lows=packets)

    monkeypatch.setattr("sim.world.stretch.library", library)
    monkeypatch.setattr("sim.world.live.programme.payloads.load", programme)


def lived(folder, text, sounds, *, begin_s, end_s, live):
    """Return the scenario, the answer of that part of its day, and what was heard at each pole."""
    for name in sounds:
        (folder / name).write_bytes(name.encode() * 100)
    path = folder / "any.toml"
    path.write_text(text)
    asked = scenario.load(path)
    stretch = Stretch(
        asked, build_village(asked), begin_s=begin_s, end_s=end_s,
        decoder_factory=tones.new_decoder, live=live,
    )  # fmt: skip
    with closing(stretch.world):
        ears = {pole.name: Ear(begin_s) for pole in stretch.world.poles}
        for pole in stretch.world.poles:
            pole.look_on(ears[pole.name])
        for _ in stretch.advance():
            pass
        assert not any(pole.crash for pole in stretch.world.poles)
        return asked, answer_of(stretch.plan, stretch.lived()), ears


def first_s(heard_s):
    """Return when a warning began to sound: a moment that was cut off at once is no begin."""
    begins = heard_s[0]
    for one, then in pairwise(heard_s):
        if then - one > 0.1 and one - begins < 0.2:
            begins = then
        elif one - begins >= 0.2:
            break
    return begins
