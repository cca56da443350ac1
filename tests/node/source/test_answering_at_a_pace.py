"""A sender at another pace that answers the clock question: its reports are no clock to play by."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.rtp import rtcp
from sim.sender.time_answers import SenderReports
from tests.node.source.test_senders_pace import heard_ms
from tests.node.source.test_waiting_for_the_horn import (
    LIVE,
    MS,
    START_NS,
    S,
    packets_ms,
    spoken,
)

WAY_MS = 20
SENDERS_CLOCK_NS = 77 * S


class Asked:
    """The sender's side of the question, over a way of `WAY_MS`; it reports what it sends by."""

    def __init__(self, pace, address):
        self._pace, self._address = pace, address
        self._reports = SenderReports(LIVE)

    def answers(self, data, now_ms):
        """Return (ms, datagram, address) of each answer to what a node sends now."""
        at_ms = now_ms + WAY_MS
        self._reports.receive_datagram(data, ("10.0.0.2", 5004), START_NS + at_ms * MS)
        clock = rtcp.ntp_of_ns(START_NS + at_ms * MS + SENDERS_CLOCK_NS)
        report = rtcp.SenderReport(LIVE, clock, round(at_ms * self._pace * 48), 0, 0)
        found = []
        while (answer := self._reports.next_answer(report, START_NS + at_ms * MS)) is not None:
            found.append((at_ms + WAY_MS, answer[0], self._address))
        return found


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from([100, 400, 1000]),
    packets_ms,
    st.one_of(st.floats(0.5, 0.95), st.floats(1.05, 1.3)),
    st.integers(0, 100),
)
@example(100, 20, 0.8, 0)
@example(100, 20, 0.95, 0)
def test_of_an_answering_sender_at_another_pace_all_but_an_eighth_is_heard(
    delay_ms, packet_ms, pace, seed
):
    """A report says where its sound is; the next one says that it is elsewhere."""
    begin_ms = 6000 + delay_ms
    end_ms = begin_ms + 9000 + 3 * delay_ms
    rng = np.random.default_rng(seed)
    arrivals = [
        (at_ms / pace + float(rng.uniform(0, 5)), data, source)
        for at_ms, data, source in spoken(LIVE, 0, end_ms * pace, packet_ms=packet_ms)
    ]
    answers = Asked(pace, arrivals[0][2]).answers
    how = {"mode": "synchronised", "delay_ms": delay_ms, "answers": answers}
    said_ms = min(pace, 1) * (end_ms - begin_ms - delay_ms) - 2 * packet_ms
    assert heard_ms(arrivals, begin_ms, end_ms, **how) >= 0.875 * said_ms
