"""The ring against a plain list of samples by their time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.hearing.sound_ring import NOTHING_NS, SoundRing
from node.units import NS_PER_MS, NS_PER_S

RATE_HZ = 1000
SECONDS = 2.0
BEGIN_NS = 5 * NS_PER_S


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 2500)), max_size=12), st.data())
def test_it_reads_what_was_written_last_and_silence_elsewhere(writes, data):
    """Each write follows the one before after some ms in which nothing was written."""
    ring = SoundRing(RATE_HZ, SECONDS, slack_ns=NS_PER_MS // 2, late_ppm=1_000_000)
    assert ring.end_ns == NOTHING_NS
    known = np.zeros(0, np.float32)
    for gap, n in writes:
        sound = np.arange(known.size + 1, known.size + n + 1, dtype=np.float32)
        known = np.concatenate((known, np.zeros(gap, np.float32)))
        ring.write(sound, BEGIN_NS + known.size * NS_PER_MS)
        known = np.concatenate((known, sound))
        assert ring.end_ns == BEGIN_NS + known.size * NS_PER_MS
    at = data.draw(st.integers(-500, known.size + 500))
    seen = ring.read(BEGIN_NS + at * NS_PER_MS, 0.7)
    held = int(RATE_HZ * SECONDS)
    first = max(at, known.size - held)
    expected = np.zeros(700, np.float32)
    for i in range(700):
        if max(first, 0) <= at + i < known.size:
            expected[i] = known[at + i]
    since = sum(gap + n for gap, n in writes[: next_fresh(writes)])
    expected[: max(since - at, 0)] = 0.0
    assert (seen == expected).all()


def next_fresh(writes):
    """The last write before which more was silent than the ring holds."""
    far = [i for i, (gap, _) in enumerate(writes) if gap > RATE_HZ * SECONDS]
    return far[-1] if far else 0


def test_blocks_that_come_late_now_and_then_leave_no_hole_and_keep_their_time():
    ring = SoundRing(RATE_HZ, 10.0, slack_ns=500 * NS_PER_MS, late_ppm=500)
    rng = np.random.default_rng(1)
    for i in range(50):
        late_ns = int(rng.choice([0, 0, 40, 300])) * NS_PER_MS
        sound = np.full(100, i + 1, np.float32)
        ring.write(sound, BEGIN_NS + i * 100 * NS_PER_MS + late_ns)
    assert abs(ring.end_ns - BEGIN_NS - 5 * NS_PER_S) <= NS_PER_MS
    assert ring.whole_ns <= BEGIN_NS + NS_PER_MS
    found = ring.read(BEGIN_NS + 1000 * NS_PER_MS, 1.0)
    assert np.count_nonzero(np.diff(found) == 1) == 9 or np.count_nonzero(np.diff(found)) == 10


def test_what_was_lost_is_silent_and_told():
    ring = SoundRing(RATE_HZ, 10.0, slack_ns=500 * NS_PER_MS, late_ppm=500)
    ring.write(np.ones(1000, np.float32), BEGIN_NS)
    ring.write(np.ones(1000, np.float32), BEGIN_NS + 3 * NS_PER_S)
    assert ring.whole_ns == BEGIN_NS + 3 * NS_PER_S
    assert ring.read(BEGIN_NS, 4.0).reshape(4, 1000).mean(axis=1).tolist() == [1, 0, 0, 1]
