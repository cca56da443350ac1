"""One byte stream: loss is delay, nothing overtakes, and only time ends it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.world.loop import VirtualLoop
from sim.world.path import LOST_NS
from sim.world.stream import USER_TIMEOUT_NS, Pipe

MS = 10**6
S = 10**9


class Way:
    """Loses what is sent within a spell; takes a drawn time for the rest."""

    def __init__(self, spells, delays_ms):
        self._spells = spells
        self._delays_ms = delays_ms
        self._sent = 0

    def carry(self, at_ns, size_bytes):
        self._sent += 1
        if any(start * MS <= at_ns < (start + length) * MS for start, length in self._spells):
            return LOST_NS
        return at_ns + self._delays_ms[self._sent % len(self._delays_ms)] * MS


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 5000)), max_size=3),
    st.lists(st.integers(1, 900), min_size=1, max_size=8),
)
def test_what_arrives_is_a_beginning_of_what_was_sent_and_all_of_it_unless_it_broke(
    gaps_ms, spells, delays_ms
):
    loop = VirtualLoop()
    got, broken = [], []
    pipe = Pipe(
        loop,
        Way(spells, delays_ms),
        Way([], [10]),
        deliver=got.append,
        broken=lambda: broken.append(loop.now_ns),
    )
    at_ms = 0
    for number, gap_ms in enumerate(gaps_ms):
        at_ms += gap_ms
        loop.call_at_ns(at_ms * MS, pipe.send, number, 100)
    loop.run_for(300 * S)
    loop.close()
    assert got == list(range(len(got)))
    assert broken or len(got) == len(gaps_ms)
    longest_ms = max((length for _, length in spells), default=0) if len(spells) < 2 else 10**9
    assert not broken or 2 * longest_ms * MS > USER_TIMEOUT_NS - 1000 * MS


def test_a_burst_of_loss_passes_with_time_and_not_with_tries():
    loop = VirtualLoop()
    got = []
    way = Way([(0, 3000)], [20])
    pipe = Pipe(loop, way, Way([], [10]), deliver=lambda x: got.append(loop.now_ns), broken=print)
    loop.call_soon(pipe.send, "order", 100)
    loop.run_for(20 * S)
    loop.close()
    assert len(got) == 1
    assert 3 * S < got[0] < 8 * S


def test_a_stream_that_nothing_comes_through_breaks_after_eight_seconds():
    loop = VirtualLoop()
    broken = []
    pipe = Pipe(
        loop, Way([(0, 10**6)], [20]), Way([], [10]),
        deliver=print, broken=lambda: broken.append(loop.now_ns),
    )  # fmt: skip
    loop.call_soon(pipe.send, "order", 100)
    loop.run_for(60 * S)
    loop.close()
    assert broken == [USER_TIMEOUT_NS + 1]
