"""A hamlet that begins to ask together leaves room on the way that all its nodes share."""

from heapq import heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.exchange.asking import READY_REPLIES, ClockExchange
from node.clock.exchange.pace import BEGIN_QUESTIONS, HELD_DOUBLED, HELD_NS, QUEUED_NS

MS = 1_000_000
S = 1_000_000_000
QUESTION_BITS = 1_600
"""With its answer, and all headers."""
BURST_NS = 6 * MS


def hamlet(nodes, *, rate_kbit_s, way_ms, seconds):
    """Let nodes ask through one queue; return the longest wait in it, ns, and when each node asked,
    and was answered.
    """
    exchanges = [ClockExchange(0) for _ in range(nodes)]
    due = [(0, 1, number, 0) for number in range(nodes)]
    asked_ns, answered_ns = ([[] for _ in range(nodes)] for _ in range(2))
    free_ns = longest_ns = 0
    while due:
        now_ns, is_question, number, sent_ns = heappop(due)
        one = exchanges[number]
        if now_ns >= seconds * S:
            continue
        if not is_question:
            one.receive_reply(sent_ns, 0, sent_ns + way_ms * MS, now_ns)
            answered_ns[number].append(now_ns)
        elif now_ns < one.next_deadline_ns():
            continue
        else:
            one.handle_deadline(now_ns)
            one.next_event()
            asked_ns[number].append(now_ns)
            begin_ns = max(now_ns, free_ns)
            longest_ns = max(longest_ns, begin_ns - now_ns)
            free_ns = begin_ns + QUESTION_BITS * MS // rate_kbit_s
            heappush(due, (free_ns + 2 * way_ms * MS, 0, number, now_ns))
        heappush(due, (one.next_deadline_ns(), 1, number, 0))
    return longest_ns, asked_ns, answered_ns


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(1, 40), st.integers(200, 4000), st.integers(1, 60))
@example(11, 700, 5)
@example(40, 2000, 45)
def test_no_more_waits_on_the_way_than_all_begin_with_and_what_tells_of_it(
    nodes, rate_kbit_s, way_ms
):
    longest_ns, _, answered_ns = hamlet(nodes, rate_kbit_s=rate_kbit_s, way_ms=way_ms, seconds=4)
    one_each_ns = nodes * QUESTION_BITS * MS // rate_kbit_s
    # What comes out of the queue tells how long it was when it went in: as much may come meanwhile.
    assert longest_ns <= 2 * (BEGIN_QUESTIONS * one_each_ns + QUEUED_NS)
    ready_ns = max(each[READY_REPLIES - 1] for each in answered_ns)
    assert (
        ready_ns <= READY_REPLIES * max(BURST_NS, one_each_ns) + (2 * way_ms + 6) * MS + one_each_ns
    )


@pytest.mark.parametrize("way_ms", [1, 5, 20, 30])
def test_who_is_alone_on_a_short_way_asks_as_often_as_he_wants_to(way_ms):
    _, (asked_ns,), _ = hamlet(1, rate_kbit_s=2_000, way_ms=way_ms, seconds=1)
    assert asked_ns[: 2 * BEGIN_QUESTIONS - 8] == [
        i * BURST_NS for i in range(2 * BEGIN_QUESTIONS - 8)
    ]


def test_questions_that_nobody_answers_become_few_at_once():
    exchange, asked_ns = ClockExchange(0), []
    while exchange.next_deadline_ns() < 60 * S:
        asked_ns.append(exchange.next_deadline_ns())
        exchange.handle_deadline(asked_ns[-1])
    steps_ns = [b - a for a, b in pairwise(asked_ns)]
    assert steps_ns[: BEGIN_QUESTIONS - 1] == [BURST_NS] * (BEGIN_QUESTIONS - 1)
    held_ns = [HELD_NS << i for i in range(HELD_DOUBLED + 1)]
    assert steps_ns[BEGIN_QUESTIONS - 1 :][: len(held_ns)] == held_ns
    assert set(steps_ns[BEGIN_QUESTIONS - 1 + len(held_ns) :]) == {held_ns[-1]}


def test_an_exchange_that_is_needed_again_begins_with_a_few():
    exchange = ClockExchange(0)
    for at_ns in range(0, 30 * S, 10 * MS):
        exchange.handle_deadline(at_ns)  # nobody answers
    exchange.begin_sound(30 * S)
    exchange.handle_deadline(30 * S)
    assert exchange.asking["pace"]["under_way"][0] == 1
