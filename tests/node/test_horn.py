"""Who sounds is who has a place: what is given up leaves nothing behind."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from node.config import NodeConfig
from node.control.precedence import PriorityConfig
from node.horn import Horn
from node.units import NS_PER_MS

PERIOD_MS = 10
LEVEL = {1: 0.5, 2: 0.25, 3: 0.125}


class Constant:
    """A source that is always due and plays one value; the horn asks for no more of it."""

    ended = False
    place = 0
    has_sounded = False
    is_at_rest = False

    def __init__(self, ssrc):
        self.ssrc = ssrc
        self.buffer = SimpleNamespace(is_proven=True)
        self.last_sound_ns = -1

    def is_due(self, presentation_ns, samples):
        return True

    def has_given_way(self, newcomer, presentation_ns):
        return False

    def render(self, out, presentation_ns):
        out[:] = LEVEL[self.ssrc]
        self.last_sound_ns = presentation_ns + PERIOD_MS * NS_PER_MS

    def stop(self):
        pass


@given(st.lists(st.sampled_from(["add", "remove", "render"]), min_size=1, max_size=30))
def test_what_is_given_up_sounds_no_more_whoever_gets_its_place(steps):
    """All of one class: the first keeps the horn until it is given up, then the next has it."""
    horn = Horn(1, NodeConfig(name="n"), PriorityConfig())
    out, now_ns, there, number = np.zeros((480, 1), np.float32), 0, None, 0
    for step in [*steps, "render"]:
        now_ns += PERIOD_MS * NS_PER_MS
        if step == "add" and there is None:
            number = number % 3 + 1
            there = Constant(number)
            horn.add(there)
        elif step == "remove" and there is not None:
            horn.remove(there, now_ns)
            assert not horn.is_sounding(there) and horn.is_empty and horn.holder is None
            there = None
        elif step == "render":
            out[:] = 0.0
            sounds = horn.render(out, now_ns)
            assert sounds == (there is not None)
            np.testing.assert_array_equal(out, LEVEL[there.ssrc] if there else 0.0)
