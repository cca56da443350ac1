"""Node and sender agree on the time, whatever the network does to the question."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.clock.exchange.answering import BURST_MAX, RATE_PER_S, ExchangeResponder
from node.clock.exchange.asked import OUTSTANDING_MAX
from node.clock.exchange.asking import BURST_REQUESTS, ClockExchange
from node.clock.exchange.pace import BEGIN_QUESTIONS
from node.clock.media_map import ReportMap, StampRate

MS = 1_000_000
S = 1_000_000_000
SENDER_AHEAD_NS = 777 * S


def sender_clock_ns(local_ns, skew_ppm, stepped_at_ns=None):
    step_ns = -250 * MS if stepped_at_ns is not None and local_ns >= stepped_at_ns else 0
    return local_ns + SENDER_AHEAD_NS + round(local_ns * skew_ppm * 1e-6) + step_ns


def talk(rng, *, seconds, noise_ms, skew_ppm=40.0, lost=0.02, stepped_at_ns=None, floors_ms=(1, 1)):
    """Run an exchange; return it, and the error in ms after each reply with its time in s."""
    exchange, errors = ClockExchange(0), []
    now_ns = 0
    while now_ns < seconds * S:
        now_ns = exchange.next_deadline_ns()
        exchange.handle_deadline(now_ns)
        request = exchange.next_event()
        there_ns, back_ns = (round((f + rng.exponential(noise_ms)) * MS) for f in floors_ms)
        if rng.random() < lost:
            continue
        arrival_ns = request.at_ns + there_ns
        answered_ns = sender_clock_ns(arrival_ns + 2 * MS, skew_ppm, stepped_at_ns)
        back_at_ns = arrival_ns + 2 * MS + back_ns
        assert exchange.receive_reply(request.at_ns, 2 * MS, answered_ns, back_at_ns)
        estimate = exchange.estimate(back_at_ns)
        if estimate is not None:
            truth_ns = sender_clock_ns(back_at_ns, skew_ppm, stepped_at_ns) - back_at_ns
            errors.append((back_at_ns / S, (estimate.offset_ns - truth_ns) / MS))
    return exchange, np.array(errors)


@pytest.mark.parametrize(("noise_ms", "bound_ms"), [(0.1, 0.05), (2.0, 0.2), (10.0, 0.9)])
def test_node_and_sender_agree_far_below_what_the_network_jitters(noise_ms, bound_ms):
    exchange, errors = talk(np.random.default_rng(4), seconds=900, noise_ms=noise_ms)
    after = errors[errors[:, 0] > 60, 1]
    assert np.percentile(np.abs(after), 95) < bound_ms
    assert exchange.estimate(900 * S).skew_ppm == pytest.approx(40, abs=5)


def test_the_burst_is_over_in_a_second_and_good_enough_to_start():
    _, errors = talk(np.random.default_rng(5), seconds=2, noise_ms=2.0, lost=0.0)
    assert errors[0, 0] < 0.3
    assert np.abs(errors[errors[:, 0] > 0.7, 1]).max() < 2.0


def test_half_of_an_asymmetry_is_the_error_and_the_uncertainty_covers_it():
    exchange, errors = talk(np.random.default_rng(6), seconds=200, noise_ms=0.1, floors_ms=(60, 2))
    assert errors[-1, 1] == pytest.approx(29, abs=0.3)
    assert exchange.estimate(200 * S).uncertainty_ns >= 29 * MS


def test_a_sender_whose_clock_was_set_is_followed_within_three_replies():
    exchange, errors = talk(
        np.random.default_rng(7), seconds=300, noise_ms=2.0, stepped_at_ns=150 * S
    )
    assert exchange.steps == 1
    assert np.abs(errors[errors[:, 0] > 156, 1]).max() < 5.0
    assert np.abs(errors[errors[:, 0] < 150, 1]).max() < 5.0


def test_a_queue_of_two_seconds_does_not_move_the_clock():
    exchange = ClockExchange(0)
    now_ns = 0
    for number in range(200):
        now_ns = exchange.next_deadline_ns()
        exchange.handle_deadline(now_ns)
        request = exchange.next_event()
        queue_ns = 2 * S if 100 <= number < 130 else 0
        arrival_ns = request.at_ns + MS + queue_ns
        answered_ns = arrival_ns + SENDER_AHEAD_NS
        exchange.receive_reply(request.at_ns, 0, answered_ns, arrival_ns + MS)
        offset_ns = exchange.estimate(now_ns).offset_ns if number > 4 else SENDER_AHEAD_NS
        assert abs(offset_ns - SENDER_AHEAD_NS) < MS
    assert exchange.steps == 0


def test_a_sender_that_does_not_answer_is_asked_ever_more_rarely():
    exchange, asked_ns = ClockExchange(0), []
    for _ in range(BURST_REQUESTS + 40):
        asked_ns.append(exchange.next_deadline_ns())
        exchange.handle_deadline(asked_ns[-1])
    assert asked_ns[BEGIN_QUESTIONS - 1] < S / 10
    assert asked_ns[-1] - asked_ns[-2] == 10 * S
    assert exchange.estimate(asked_ns[-1]) is None


def test_of_questions_that_nobody_takes_the_oldest_are_given_up():
    exchange, asked_ns = ClockExchange(0), []
    for _ in range(OUTSTANDING_MAX + 30):
        asked_ns.append(exchange.next_deadline_ns())
        exchange.handle_deadline(asked_ns[-1])
    taken_ns = []
    while (request := exchange.next_event()) is not None:
        taken_ns.append(request.at_ns)
    assert taken_ns == asked_ns[30:]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(*[st.integers(-(2**62), 2**62)] * 3), max_size=20))
def test_answers_that_nobody_asked_for_change_nothing(answers):
    exchange = ClockExchange(10**15)
    exchange.handle_deadline(10**15)
    for request_ns, held_ns, answered_ns in answers:
        if abs(request_ns - 10**15) > 10**6:
            assert not exchange.receive_reply(request_ns, held_ns, answered_ns, 10**15 + MS)
    assert exchange.replies == 0


def test_local_time_and_sender_time_are_each_others_inverse():
    exchange, _ = talk(np.random.default_rng(8), seconds=200, noise_ms=0.5)
    for local_ns in (0, 199 * S, 260 * S):
        sender_ns = local_ns + exchange.estimate(local_ns).offset_ns
        assert abs(exchange.local_ns(sender_ns) - local_ns) < 100


def test_without_answers_the_uncertainty_grows_with_age():
    exchange, _ = talk(np.random.default_rng(9), seconds=100, noise_ms=0.5)
    fresh, old = exchange.estimate(100 * S), exchange.estimate(10_100 * S)
    assert old.age_ns >= 9_999 * S
    assert old.uncertainty_ns - fresh.uncertainty_ns == pytest.approx(10 * MS, rel=0.01)


def test_a_sender_that_is_300_ppm_fast_is_known_within_half_a_minute():
    exchange, errors = talk(
        np.random.default_rng(11), seconds=30, noise_ms=2.0, skew_ppm=300.0, lost=0.0
    )
    assert exchange.estimate(30 * S).skew_ppm == pytest.approx(300, abs=10)
    assert np.abs(errors[errors[:, 0] > 10, 1]).max() < 1.0


def test_a_flood_of_requests_gets_a_burst_and_then_an_allowance():
    responder = ExchangeResponder()
    for number in range(10_000):
        responder.receive_request(
            ("192.0.2.1", 5004), ssrc=1, request=number, spare_bytes=0, now_ns=number * MS
        )
    answers = 0
    while responder.next_event() is not None:
        answers += 1
    assert answers == pytest.approx(BURST_MAX + 10 * RATE_PER_S, abs=2)
    assert responder.refused == 10_000 - answers


def test_an_answer_longer_than_its_request_is_refused():
    responder = ExchangeResponder()
    responder.receive_request(("192.0.2.1", 5004), ssrc=1, request=1, spare_bytes=-1, now_ns=0)
    assert responder.next_event() is None and responder.refused == 1


def test_a_million_forged_addresses_cost_no_memory():
    responder = ExchangeResponder()
    for number in range(20_000):
        responder.receive_request(("192.0.2.1", number), ssrc=1, request=1, spare_bytes=0, now_ns=0)
        responder.next_event()
    assert responder.refused == 0


@pytest.mark.parametrize("media_ppm", [-100.0, 0.0, 55.0])
def test_the_media_clock_of_a_live_source_is_learned_from_its_reports(media_ppm):
    rng, reports = np.random.default_rng(10), ReportMap()
    for second in range(0, 300, 2):
        sender_ns = 5 * S + second * S
        jitter_ns = rng.uniform(-5, 5) * MS
        media = 1000 + round(second * 48_000 * (1 + media_ppm * 1e-6) + jitter_ns * 48e-6)
        reports.receive_report(sender_ns, media)
    assert reports.skew_ppm == pytest.approx(media_ppm, abs=5)
    due_ns = 5 * S + (reports.media_time_samples - 1000) / (1 + media_ppm * 1e-6) / 48_000 * S
    assert abs(reports.sender_ns - due_ns) < 1.5 * MS


def test_exact_reports_give_an_exact_map():
    reports = ReportMap()
    for second in range(60):
        reports.receive_report(second * S, second * 48_000)
        assert reports.sender_ns == second * S
    assert reports.skew_ppm == 0.0


def test_a_seek_in_the_programme_begins_a_new_map_at_the_second_report():
    reports = ReportMap()
    for second in range(20):
        reports.receive_report(second * S, second * 48_000)
    reports.receive_report(20 * S, 99 * 48_000)
    assert reports.media_time_samples == 19 * 48_000
    reports.receive_report(21 * S, 100 * 48_000)
    assert (reports.media_time_samples, reports.sender_ns) == (100 * 48_000, 21 * S)
    assert reports.restarts == 1


@given(
    st.sampled_from([8_000, 16_000, 44_100, 90_000]),
    st.sampled_from([240, 960, 2880, 5760]),
    st.integers(0, 2**31),
    st.lists(st.integers(0, 400), min_size=1, max_size=40),
)
def test_what_a_sender_reports_of_stamps_at_any_rate_is_known_to_a_millisecond(
    clock_hz, samples, first, waits_ms
):
    """Its reports come between two packets, and name a stamp between theirs."""
    rate, now_ms = StampRate(), 1000
    for asked, wait_ms in enumerate([0, 230, *waits_ms]):
        now_ms += wait_ms
        newest = now_ms * 48 // samples * samples
        stamp = first + newest * clock_hz // 48_000
        rate.receive_packet(newest, stamp, is_wrong=True)
        reported = first + now_ms * clock_hz // 1000
        if asked > 0:
            assert abs(newest + rate.samples(reported - stamp) - now_ms * 48) <= 48


def test_stamps_that_are_right_again_are_samples():
    rate = StampRate()
    for packet in range(20):
        rate.receive_packet(packet * 960, packet * 160, is_wrong=True)
    assert rate.samples(160) == 960
    rate.receive_packet(20 * 960, 20 * 960, is_wrong=False)
    assert rate.samples(160) == 160


def test_a_node_that_joins_in_a_jam_learns_better_without_a_step():
    exchange = ClockExchange(0)
    now_ns = 0
    for jam_ns in [1400 * MS] * 6 + [60 * MS] * 6:
        exchange.handle_deadline(now_ns)
        request = exchange.next_event()
        assert request is not None
        arrived_ns = request.at_ns + 30 * MS
        back_ns = arrived_ns + jam_ns
        exchange.receive_reply(request.at_ns, 0, arrived_ns, back_ns)
        now_ns = max(back_ns, exchange.next_deadline_ns())

    assert exchange.steps == 0
    estimate = exchange.estimate(now_ns)
    assert estimate is not None
    assert abs(estimate.offset_ns) <= 16 * MS


def test_in_a_jam_the_sound_from_before_it_shows_how_near_the_sender_is():
    exchange, sender_ns = ClockExchange(0), 5000 * S
    exchange.handle_deadline(0)
    request = exchange.next_event()
    arrivals_ns = np.array([10, 30, 50], np.int64) * MS
    transits_ns = np.full(3, 40 * MS - sender_ns)
    sound_ns = np.array([arrivals_ns, transits_ns, arrivals_ns, transits_ns])
    answered_ns = sender_ns + 60 * MS  # 60 ms there, 1.5 s back
    exchange.receive_reply(request.at_ns, 0, answered_ns, 1560 * MS, sound_ns=sound_ns)

    assert exchange.estimate(1560 * MS) is None  # one reply is not enough to move what sounds
    estimate = exchange.estimate(1560 * MS, replies_min=1)
    assert estimate.offset_ns - sender_ns == pytest.approx(10 * MS, abs=MS)  # (60 - 40) / 2
    assert estimate.uncertainty_ns == pytest.approx(50 * MS, abs=MS)


def test_sound_that_came_before_it_was_sent_is_not_believed_in_a_jam_either():
    exchange, sender_ns = ClockExchange(0), 5000 * S
    exchange.handle_deadline(0)
    request = exchange.next_event()
    arrivals_ns = np.array([10], np.int64) * MS
    transits_ns = np.full(1, -300 * MS - sender_ns)
    sound_ns = np.array([arrivals_ns, transits_ns, arrivals_ns, transits_ns])
    exchange.receive_reply(request.at_ns, 0, sender_ns + 60 * MS, 1560 * MS, sound_ns=sound_ns)
    assert exchange.estimate(1560 * MS, replies_min=1).uncertainty_ns > 700 * MS


def talk_over(rng, delay_ms, *, seconds, skew_ppm=0.0):
    """Ask over a link of which `delay_ms(rng)` is each direction's delay; errors in ms."""
    exchange, errors, last_ns = ClockExchange(0), [], [0, 0]
    now_ns = 0
    while now_ns < seconds * S:
        now_ns = exchange.next_deadline_ns()
        exchange.handle_deadline(now_ns)
        exchange.next_event()
        last_ns[0] = max(last_ns[0], now_ns + round(delay_ms(rng) * MS))
        last_ns[1] = max(last_ns[1], last_ns[0] + round(delay_ms(rng) * MS))
        answered_ns = sender_clock_ns(last_ns[0], skew_ppm)
        exchange.receive_reply(now_ns, 0, answered_ns, last_ns[1])
        estimate = exchange.estimate(last_ns[1])
        if estimate is not None:
            truth_ns = sender_clock_ns(last_ns[1], skew_ppm) - last_ns[1]
            errors.append((last_ns[1] / S, (estimate.offset_ns - truth_ns) / MS))
    return np.array(errors)


def uniform_ms(rng):
    return 40 + rng.uniform(-20, 20)


def handled_late_ms(rng):
    """One packet in five is handled late, by a millisecond on average."""
    return uniform_ms(rng) + (rng.exponential(1.0) if rng.random() < 0.2 else 0.0)


@pytest.mark.parametrize("skew_ppm", [0.0, 30.0])
@pytest.mark.parametrize(
    ("delay_ms", "bounds_ms"),
    [(uniform_ms, {4: 0.4, 10: 0.3, 40: 0.32}), (handled_late_ms, {4: 0.4, 10: 0.2, 40: 0.42})],
)
def test_a_node_at_40_ms_more_or_less_20_knows_the_time_within_seconds(
    delay_ms, bounds_ms, skew_ppm
):
    wrong_ms = {second: [] for second in bounds_ms}
    for seed in range(12):
        errors = talk_over(np.random.default_rng(seed), delay_ms, seconds=45, skew_ppm=skew_ppm)
        for second, found in wrong_ms.items():
            found.append(errors[np.searchsorted(errors[:, 0], second), 1])
    for second, bound_ms in bounds_ms.items():
        assert np.sqrt(np.mean(np.square(wrong_ms[second]))) < bound_ms


def test_a_machine_that_stops_now_and_then_does_not_hide_the_ceiling_of_the_delays():
    """One packet in fifty waits for up to 40 ms more than the link takes at most."""

    def stopped_ms(rng):
        return uniform_ms(rng) + (rng.uniform(0, 40) if rng.random() < 0.02 else 0)

    found = []
    for seed in range(30):
        errors = talk_over(np.random.default_rng(seed), stopped_ms, seconds=12)
        found.append(np.abs(errors[errors[:, 0] > 4, 1]).max())
    assert np.median(found) < 0.3


def test_a_full_queue_of_one_direction_is_not_taken_for_a_ceiling_of_both():
    rng, exchange = np.random.default_rng(3), ClockExchange(0)
    now_ns = 0
    for number in range(120):
        now_ns = max(now_ns, exchange.next_deadline_ns())
        exchange.handle_deadline(now_ns)
        request = exchange.next_event()
        full_ns = 300 * MS if number % 3 else 0
        arrived_ns = request.at_ns + round(rng.uniform(1, 3) * MS)
        now_ns = arrived_ns + full_ns + round(rng.uniform(1, 3) * MS)
        exchange.receive_reply(request.at_ns, 0, arrived_ns, now_ns)
    assert abs(exchange.estimate(now_ns).offset_ns) < MS


def test_a_jam_at_the_end_of_the_window_does_not_turn_the_slope():
    rng, exchange = np.random.default_rng(4), ClockExchange(0)
    now_ns = 0
    for number in range(400):
        now_ns = max(now_ns, exchange.next_deadline_ns())
        exchange.handle_deadline(now_ns)
        request = exchange.next_event()
        jam_ns = round(rng.exponential(40) * MS) + 10 * MS if number > 300 else 0
        arrived_ns = request.at_ns + round((1 + rng.exponential(2)) * MS) + jam_ns
        now_ns = arrived_ns + round((1 + rng.exponential(2)) * MS)
        exchange.receive_reply(request.at_ns, 0, arrived_ns, now_ns)
    assert abs(exchange.estimate(now_ns).skew_ppm) < 5
    assert abs(exchange.estimate(now_ns).offset_ns) < MS // 2


def test_a_jam_that_drains_in_the_first_second_is_no_step_of_the_clock():
    exchange, waiting, rng = ClockExchange(0), [], np.random.default_rng(1)
    now_ns, drained_ns, wrong_ns = 0, 1500 * MS, 0
    while now_ns < 3 * S:
        due_ns = exchange.next_deadline_ns()
        if waiting and waiting[0][2] <= due_ns:
            now_ns = waiting[0][2]
            exchange.receive_reply(waiting[0][0], 0, *waiting.pop(0)[1:])
            estimate = exchange.estimate(now_ns)
            if estimate is None or abs(estimate.offset_ns) > 60 * MS:
                wrong_ns = now_ns
            continue
        now_ns = due_ns
        exchange.handle_deadline(now_ns)
        exchange.next_event()
        answered_ns = now_ns + round(rng.uniform(60, 200) * MS)
        # All that was asked before the jam ends comes back close together.
        back_ns = max(answered_ns + 60 * MS, drained_ns + now_ns // 20)
        waiting.append((now_ns, answered_ns, back_ns))
    assert exchange.steps == 0
    assert wrong_ns < drained_ns + 150 * MS  # the first answers that did not wait are believed
    assert abs(exchange.estimate(now_ns).offset_ns) < 20 * MS


def uncertainty_ms_when_believed(delay_ms, *, seconds, up_ms=30.0):
    """Ask over a link that takes `up_ms` there and `delay_ms(t)` back; what is believed at last.

    Answers keep their order. None while the exchange takes all that it has for a jam.
    """
    exchange, waiting, now_ns, back_ns = ClockExchange(0), [], 0, 0
    while now_ns < seconds * S:
        due_ns = exchange.next_deadline_ns()
        if waiting and waiting[0][2] <= due_ns:
            request_ns, answered_ns, now_ns = waiting.pop(0)
            exchange.receive_reply(request_ns, 0, answered_ns, now_ns)
            continue
        now_ns = due_ns
        exchange.handle_deadline(now_ns)
        exchange.next_event()
        answered_ns = now_ns + round(up_ms * MS)
        back_ns = max(back_ns, answered_ns + round(delay_ms(answered_ns / S) * MS))
        waiting.append((now_ns, answered_ns, back_ns))
    estimate = exchange.estimate(now_ns)
    assert exchange.steps == 0
    return None if estimate is None or estimate.is_congested else estimate.uncertainty_ns / MS


@pytest.mark.parametrize("jitter_ms", [0.0, 40.0, 300.0])
def test_a_sender_behind_a_satellite_is_believed_within_twelve_seconds(jitter_ms):
    rng = np.random.default_rng(2)

    def delay_ms(_):
        return 290 + rng.uniform(0, jitter_ms)

    uncertainty_ms = uncertainty_ms_when_believed(delay_ms, seconds=12, up_ms=290.0)
    assert uncertainty_ms == pytest.approx(290, abs=1 + jitter_ms / 10)


@pytest.mark.parametrize("seconds", [4, 8, 12, 16])
@pytest.mark.parametrize(
    "delay_ms",
    [
        lambda t: max(60, 1000 * (16 - t)),  # a link that stands still, and gives all at once
        lambda t: 300 + 80 * t,  # a queue that grows
        lambda t: 2500 - 120 * t,  # one that shrinks
        lambda t: 400 + 1100 * (t * 0.4 % 1),  # an upload's saw-tooth of 2.5 s
    ],
)
def test_what_waits_in_a_jam_is_not_believed_to_be_far(delay_ms, seconds):
    believed_ms = uncertainty_ms_when_believed(delay_ms, seconds=seconds)
    assert believed_ms is None or believed_ms <= 250


@given(st.integers(0, 40_000), st.integers(0, 20_000))
def test_a_sender_nearer_than_times_are_rounded_to_has_an_uncertainty_that_is_none_below_zero(
    way_ns, held_too_long_ns
):
    exchange, now_ns = ClockExchange(0), 0
    for _ in range(20):
        exchange.handle_deadline(now_ns)
        while (request := exchange.next_event()) is not None:
            arrived_ns = request.at_ns + way_ns
            held_ns = way_ns + held_too_long_ns
            exchange.receive_reply(request.at_ns, held_ns, arrived_ns + held_ns, arrived_ns)
        now_ns += S // 10
    estimate = exchange.estimate(now_ns)
    assert estimate is None or estimate.uncertainty_ns >= 0
