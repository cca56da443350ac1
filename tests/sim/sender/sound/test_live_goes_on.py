"""A live source that stalled, and gave at once what it had, is heard again at its own pace."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from sim.sender.sound.live_pace import LivePace

MS = 1_000_000
PACKET_NS = 20 * MS
WITHIN_NS = 1500 * MS
"""After what came at once: the window, a block, and how far ahead that had taken the schedule."""


class Sender:
    """The schedule of a sender: each packet that goes moves it on."""

    def __init__(self):
        self.pace = LivePace(PACKET_NS)
        self.goes_on_ns = None
        self.went_ns = []

    def come(self, now_ns):
        late_ns = 0 if self.goes_on_ns is None else now_ns - self.goes_on_ns
        if self.pace.takes(-late_ns, now_ns):
            if self.goes_on_ns is None or self.pace.moved:
                self.goes_on_ns = max(self.goes_on_ns or 0, now_ns - self.pace.early_ns)
            self.goes_on_ns += PACKET_NS
            self.went_ns.append(now_ns)

    def come_in_blocks(self, begin_ns, lasts_ns, block_ns):
        """Let a source come from then on: each block at once when its time is over."""
        given = 0
        for end_ns in range(block_ns, lasts_ns, block_ns):
            while given + PACKET_NS <= end_ns:
                self.come(begin_ns + end_ns + (given % block_ns) // 20)
                given += PACKET_NS
        return begin_ns + lasts_ns


@given(
    st.integers(1, 9).map(lambda packets: packets * PACKET_NS),
    st.integers(0, 20_000),
    st.integers(0, 10_000),
)
@example(160 * MS, 10_000, 8_000)
@example(20 * MS, 0, 8_000)
def test_it_goes_on_soon_after_what_came_at_once(block_ns, stalls_ms, backlog_ms):
    sender = Sender()
    now_ns = sender.come_in_blocks(0, 4000 * MS, block_ns)
    assert sender.went_ns, "it has begun"
    now_ns += stalls_ms * MS
    for _ in range(backlog_ms * MS // PACKET_NS):
        now_ns += MS // 2
        sender.come(now_ns)
    end_ns = sender.come_in_blocks(now_ns, 6000 * MS, block_ns)
    times = [at for at in sender.went_ns if at > now_ns + WITHIN_NS]
    assert times and times[0] - now_ns - WITHIN_NS <= 2 * block_ns, "it is silent"
    assert max(b - a for a, b in pairwise(times)) <= 2 * block_ns + 40 * MS
    assert end_ns - times[-1] <= 2 * block_ns + 40 * MS
