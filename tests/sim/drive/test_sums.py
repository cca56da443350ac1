"""The sums of a node, and the order of what comes to it, against the same in plain words."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.counters import Origin
from node.kernel.record import new
from node.source.state import Played
from node.units import RATE_HZ, samples_to_ns
from sim.drive.coverage import DELAY_BIN_NS, DELAY_BINS, Coverage
from sim.drive.site import count_before, line_up
from sim.drive.sums import NEVER, RESAMPLER_NS, Sums, sum_up
from sim.links.kernel import LOST_NS

TIMESTAMP = (1 << 32) - 5000
"""Near its end, so that it goes round."""

times = st.integers(0, 3_000_000_000)


def at(series, place):
    return series[place] if 0 <= place < len(series) else LOST_NS


def last_before(play, at_ns):
    return int(np.searchsorted(play, at_ns, side="right")) - 1


@st.composite
def chunks(draw):
    count = draw(st.integers(0, 12))
    way = st.lists(st.one_of(st.just(LOST_NS), times), min_size=count, max_size=count)
    packets = np.array([draw(way) for _ in range(3)], np.int64).reshape(3, count)
    play = sorted(draw(st.lists(times, max_size=10)))
    periods = np.array([
        [one - draw(st.integers(0, 10**7)) for one in play],
        [one - draw(st.integers(0, 10**6)) for one in play],
        play,
        [draw(st.integers(0, 1)) for _ in play],
    ], np.int64).reshape(4, len(play))  # fmt: skip
    row = st.tuples(
        st.integers(-3000, 100_000), st.integers(1, 2880), st.integers(0, len(Origin) - 1),
        st.one_of(st.just(-1), times), times,
    )  # fmt: skip
    rows = []
    for one in draw(st.lists(row, max_size=12)):
        rows.append(one)
        if draw(st.booleans()):  # whole packets, one after the other, as nearly all are
            start, play_ns = 960 * draw(st.integers(-1, 90)), one[4]
            for i in range(draw(st.integers(1, 8))):
                came_ns = draw(times)
                rows.append((start + 960 * i, 960, Origin.RECEIVED, came_ns, play_ns + i * 10**7))
    journal = new(Played, len(rows))
    for i, (start, samples, origin, arrival_ns, play_ns) in enumerate(rows):
        media = (start + TIMESTAMP) & 0xFFFF_FFFF
        journal[i] = (1, media, samples, origin, arrival_ns, play_ns)
    return packets, periods, journal, [one[0] for one in rows]


@settings(deadline=None, max_examples=150)
@given(chunk=chunks(), first=st.integers(0, 30), own_delay_ns=st.integers(-(10**6), 10**6))
def test_kernels_sum_up_what_the_definition_says(chunk, first, own_delay_ns):
    packets, periods, journal, starts = chunk
    sums = new(Sums)
    sums[0] = (
        TIMESTAMP, 960, 20_000_000, 6_500_000, own_delay_ns, first, np.full(7, 9), 9, 9, -NEVER,
        NEVER, NEVER, 0, 0, 0, 0,
    )  # fmt: skip
    weights = np.zeros(DELAY_BINS, np.int64)
    coverage = Coverage(90_000, bins=10, bin_samples=9000)
    room = np.empty((2, len(journal)), np.int64)
    count = sum_up(sums, coverage.state, coverage.raster, weights, packets, periods, journal, room)
    coverage.finish()

    programme = np.full(90_000, Origin.SILENT)
    covered = 0
    stages, waited, heard = [0] * 7, 0, 0
    delays, seconds = {}, []
    firsts = []
    for start, one in zip(starts, journal, strict=True):
        samples, play_ns = int(one["samples"]), int(one["presentation_ns"])
        is_silent = at(periods[3], last_before(periods[2], play_ns)) == 1
        made_up = one["origin"] >= Origin.CONCEALED
        origin = Origin.SILENT if is_silent and not made_up else one["origin"]
        begin, end = max(start, covered), min(start + samples, 90_000)
        if begin < end:
            programme[begin:end] = origin
            covered = end
        if origin >= Origin.CONCEALED or start < 0:
            continue
        firsts.append(play_ns)
        second = -(-start // RATE_HZ)
        if second * RATE_HZ < start + samples:
            at_ns = play_ns - own_delay_ns + samples_to_ns(second * RATE_HZ - start)
            seconds.append([second, at_ns])
        packet, within = divmod(start, 960)
        captured = packet * 20_000_000 - 6_500_000
        begins = play_ns - samples_to_ns(within)
        period = last_before(periods[2], begins)
        sent, departed, arrived = (int(at(series, packet - first)) for series in packets)
        departed = sent if departed == LOST_NS else departed
        tick, finish, play, _ = (int(at(series, period)) for series in periods)
        stored = int(one["arrival_ns"])
        arrived = arrived if one["origin"] == Origin.RECEIVED else stored
        ways = (
            sent - captured, departed - sent, arrived - departed, tick - stored - RESAMPLER_NS,
            finish - tick + stored - arrived, RESAMPLER_NS, begins - finish,
        )  # fmt: skip
        stages = [total + way * samples for total, way in zip(stages, ways, strict=True)]
        waited += (tick + begins - play - sent) * samples
        heard += samples
        place = min(max((begins - captured) // DELAY_BIN_NS, 0), DELAY_BINS - 1)
        delays[place] = delays.get(place, 0) + samples
        assert sums["delay_min_ns"][0] <= begins - captured <= sums["delay_max_ns"][0]
    assert sums["stages"][0].tolist() == stages
    assert (sums["waited"][0], sums["samples"][0]) == (waited, heard)
    assert {int(i): int(weights[i]) for i in np.flatnonzero(weights)} == delays
    assert room[:, :count].T.tolist() == seconds
    assert coverage.raster.tolist() == programme.reshape(10, 9000).max(axis=1).tolist()
    for origin in Origin:
        assert coverage.origins_ms()[origin] == np.count_nonzero(programme == origin) / 48
    made_up = np.concatenate([[0], programme >= Origin.CONCEALED, [0]]).astype(np.int64)
    begins, ends = (np.flatnonzero(np.diff(made_up) == step) for step in (1, -1))
    assert coverage.events == begins.size
    assert coverage.longest_gap_ms == (ends - begins).max(initial=0) / 48
    assert sums["first_sound_ns"][0] == (firsts[0] if firsts else NEVER)


@given(
    st.lists(st.integers(0, 40), max_size=8),
    st.lists(st.one_of(st.just(LOST_NS), st.integers(0, 40)), max_size=12),
)
def test_what_comes_is_taken_in_the_order_of_arrival_then_of_number(waiting, new_ones):
    waiting.sort()
    first = 100
    all_ns = np.array([*waiting, *[7] * len(new_ones)], np.int64)
    numbers = np.array([*range(len(waiting)), *[7] * len(new_ones)], np.int64)
    arrive_ns = np.array(new_ones, np.int64)
    count = line_up(arrive_ns, first, len(waiting), all_ns, numbers)
    asked = [*zip(waiting, range(len(waiting)), strict=True)]
    asked += [(one, first + i) for i, one in enumerate(new_ones) if one != LOST_NS]
    assert [*zip(all_ns[:count], numbers[:count], strict=True)] == sorted(asked)


@given(st.lists(st.integers(0, 30), max_size=12), st.lists(st.integers(0, 30), max_size=12))
def test_a_packet_that_is_done_as_a_period_is_comes_after_it(done, finish):
    done_ns, finish_ns = (np.array(sorted(one), np.int64) for one in (done, finish))
    before = np.full(len(finish), 99)
    count_before(done_ns, finish_ns, before)
    assert before.tolist() == [sum(one < end for one in done) for end in finish_ns]
