"""Whatever befalls a stream's numbers, stamps and delays: a node that gets good packets sounds."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.liveness.histories import (
    CLOCKS_HZ,
    DELAYS_MS,
    KINDS,
    PAYLOADS,
    Disturbance,
    History,
)
from benchmarks.liveness.liveness import in_step_ns, play, run

MS = 1_000_000

disturbances = st.builds(
    Disturbance,
    kind=st.sampled_from(KINDS),
    after_ms=st.sampled_from([0, 50, 300, 1000, 2500]),
    size_ms=st.one_of(st.integers(-200, 200), st.integers(-12_000, 12_000)),
    count=st.integers(1, 300),
)

histories = st.builds(
    History,
    mode=st.sampled_from(["synchronised", "adaptive"]),
    delay_ms=st.sampled_from(DELAYS_MS),
    packet_samples=st.sampled_from(sorted(PAYLOADS)),
    clock_hz=st.sampled_from([48_000, *CLOCKS_HZ]),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFF_FFFF),
    jitter_ms=st.sampled_from([0, 3, 20]),
    seed=st.integers(0, 1000),
    answers=st.booleans(),
    disturbances=st.lists(disturbances, min_size=1, max_size=6).map(tuple),
)


def calm(mode="synchronised", delay_ms=400, packet_samples=960, **fields):
    """A history without jitter, that begins at number and stamp 0."""
    given_fields = {"clock_hz": 48_000, "sequence": 0, "timestamp": 0, "jitter_ms": 0, "seed": 0}
    return History(
        mode=mode,
        delay_ms=delay_ms,
        packet_samples=packet_samples,
        **(given_fields | {"disturbances": ()} | fields),
    )


SLOW_CLOCK = calm(
    delay_ms=100,
    packet_samples=240,
    clock_hz=44_100,
    sequence=6553,
    jitter_ms=20,
    seed=36929858,
    disturbances=(
        Disturbance(kind="stall", after_ms=1000, size_ms=173, count=1),
        Disturbance(kind="port", after_ms=2500, size_ms=-12, count=105),
        Disturbance(kind="stamps and path", after_ms=1000, size_ms=-7777, count=60),
        Disturbance(kind="held", after_ms=300, size_ms=5, count=3),
        Disturbance(kind="stamps", after_ms=2500, size_ms=2577, count=1),
        Disturbance(kind="from zero", after_ms=2500, size_ms=-1, count=2),
    ),
)
"""Stamps that are nearly right each, and packets that overtake each other."""

STANDING = calm(
    mode="adaptive",
    delay_ms=3000,
    packet_samples=2880,
    clock_hz=90_000,
    timestamp=1_164_597_743,
    jitter_ms=20,
    seed=1_373_826_581,
    disturbances=(
        Disturbance(kind="standing pause", after_ms=50, size_ms=-4558, count=33),
        Disturbance(kind="stamps", after_ms=1000, size_ms=-1, count=187),
    ),
)
"""A pause after which the stamps are found out, and what comes lies far ahead of what is played."""

ANEW = calm(
    packet_samples=5760,
    clock_hz=8_000,
    seed=2_143_568_344,
    disturbances=(
        Disturbance(kind="echoes", after_ms=50, size_ms=2500, count=6),
        Disturbance(kind="new source", after_ms=300, size_ms=-4725, count=93),
        Disturbance(kind="durations", after_ms=300, size_ms=-20, count=185),
        Disturbance(kind="restart", after_ms=2500, size_ms=-770, count=1),
        Disturbance(kind="durations", after_ms=50, size_ms=-584, count=240),
    ),
)
"""A sender that begins anew from another number, while the way repeats: it can count."""

ECHOES = calm(
    delay_ms=3000,
    packet_samples=1920,
    disturbances=(
        Disturbance(kind="echoes", after_ms=300, size_ms=153, count=3),
        Disturbance(kind="restart", after_ms=1000, size_ms=3, count=10),
    ),
)
"""A path that goes on giving packets of before the sender's restart."""


OVERTAKEN = calm(
    delay_ms=3000,
    sequence=33_007,
    timestamp=1_961_108_971,
    jitter_ms=3,
    seed=58_595_606,
    disturbances=(
        Disturbance(kind="echoes", after_ms=2500, size_ms=-135, count=63),
        Disturbance(kind="swaps", after_ms=1000, size_ms=1, count=9),
        Disturbance(kind="standing pause", after_ms=300, size_ms=1, count=8),
        Disturbance(kind="restart", after_ms=2500, size_ms=594, count=25),
        Disturbance(kind="path", after_ms=50, size_ms=2862, count=5),
    ),
)
"""A sound in time, and two packets of seconds ago that come for the first time."""


TIGHT = calm(
    packet_samples=1920,
    clock_hz=90_000,
    sequence=36_688,
    timestamp=647_622_005,
    jitter_ms=3,
    seed=1_849_253_346,
    answers=True,
    disturbances=(
        Disturbance(kind="echoes", after_ms=1000, size_ms=-2, count=32),
        Disturbance(kind="path", after_ms=300, size_ms=10, count=1),
        Disturbance(kind="path", after_ms=1000, size_ms=338, count=3),
        Disturbance(kind="keep-alives", after_ms=0, size_ms=70, count=1),
        Disturbance(kind="restart", after_ms=50, size_ms=-908, count=112),
    ),
)
"""A way that leaves 12 ms of the playout delay."""


HURRIED = calm(
    delay_ms=200,
    packet_samples=480,
    disturbances=(Disturbance(kind="pace", after_ms=2500, size_ms=-8875, count=27),),
)
"""A sender that was faster: the line went down by just what is taken at once."""


DOUBTED = calm(
    delay_ms=100,
    packet_samples=5760,
    clock_hz=8_000,
    timestamp=1_812_196_490,
    jitter_ms=3,
    seed=1_608_742_857,
    disturbances=(
        Disturbance(kind="echoes", after_ms=0, size_ms=13, count=1),
        Disturbance(kind="new source after goodbye", after_ms=300, size_ms=-1914, count=239),
        Disturbance(kind="echoes", after_ms=300, size_ms=612, count=50),
        Disturbance(kind="held", after_ms=50, size_ms=192, count=7),
    ),
)
"""Packets longer than the playout delay, the first ones late, and a clock that proves nothing."""


FAR = calm(
    delay_ms=3000,
    timestamp=3_716_137_961,
    seed=369_781_061,
    answers=True,
    disturbances=(
        Disturbance(kind="echoes", after_ms=300, size_ms=10_613, count=166),
        Disturbance(kind="path", after_ms=0, size_ms=4476, count=1),
    ),
)
"""A way that became longer than the playout delay while questions were on it."""


PACED = calm(
    delay_ms=1000,
    answers=True,
    seed=2_081_926_924,
    disturbances=(
        Disturbance(kind="echoes", after_ms=1000, size_ms=2, count=27),
        Disturbance(kind="durations", after_ms=50, size_ms=-1, count=6),
        Disturbance(kind="losses", after_ms=1000, size_ms=5, count=52),
        Disturbance(kind="pace", after_ms=2500, size_ms=7119, count=27),
        Disturbance(kind="pace", after_ms=1000, size_ms=-2386, count=88),
    ),
)
"""A sender that was slower, then faster: 3.6 s passed until its clock was believed again."""


def once(kind, size_ms=0, count=1):
    return (Disturbance(kind=kind, after_ms=2500, size_ms=size_ms, count=count),)


@given(histories)
@settings(max_examples=150)
@example(calm(disturbances=once("stamps", 1200)))
@example(calm(delay_ms=1000, disturbances=once("stamps", 1900)))
@example(calm(disturbances=once("path", -300)))
@example(calm(packet_samples=480, disturbances=once("held", 1200, 4)))
@example(calm(packet_samples=120, disturbances=once("repeats", 200, 4)))
@example(calm(disturbances=once("standing pause", 9900)))
@example(calm(mode="adaptive", disturbances=once("standing pause", 5000)))
@example(calm(disturbances=once("wobble", 0, 240)))
@example(calm(clock_hz=90_000, disturbances=once("losses", 0, 5)))
@example(calm(clock_hz=8_000, disturbances=once("pause", 700)))
@example(calm(delay_ms=3000, packet_samples=480, disturbances=once("losses", 0, 1)))
@example(calm(answers=True, delay_ms=3000, packet_samples=1920, disturbances=once("numbers", 7)))
@example(calm(answers=True, delay_ms=3000, disturbances=once("stamps", 322)))
@example(calm(answers=True, delay_ms=400, disturbances=once("path", 346)))
@example(calm(answers=True, delay_ms=100, disturbances=once("stamps and path", 1136)))
@example(calm(answers=True, jitter_ms=20, disturbances=once("path", -4000)))
@example(calm(answers=True, delay_ms=200, packet_samples=480, disturbances=once("numbers", 11)))
@example(calm(answers=True, delay_ms=200, packet_samples=2880, disturbances=once("stamps", 124)))
@example(
    calm(
        answers=True,
        delay_ms=200,
        packet_samples=5760,
        jitter_ms=20,
        seed=491_686_519,
        disturbances=once("stamps and path", 124),
    )
)
@example(OVERTAKEN)
@example(TIGHT)
@example(SLOW_CLOCK)
@example(STANDING)
@example(ANEW)
@example(ECHOES)
@example(HURRIED)
@example(DOUBTED)
@example(FAR)
@example(PACED)
@example(calm(delay_ms=100, disturbances=once("pace", 6000, 20)))
def test_a_node_sounds_again_within_two_seconds_of_whatever_befell_its_stream(history):
    outcome = play(history)
    assert not outcome.is_deaf, outcome
    assert not outcome.is_out_of_step, outcome


paces = st.builds(
    Disturbance,
    kind=st.just("pace"),
    after_ms=st.integers(0, 3000),
    size_ms=st.one_of(st.integers(400, 9000), st.integers(-9000, -400)),
    count=st.integers(1, 50),
)


@given(
    st.sampled_from([100, 200, 400, 1000]),
    st.sampled_from([480, 960, 2880, 5760]),
    st.lists(paces, min_size=1, max_size=2),
    st.integers(8000, 14_000),
)
@settings(max_examples=60)
@example(400, 2880, [Disturbance("pace", 2384, 8578, 34)], 11_674)
@example(1000, 960, [Disturbance("pace", 652, 2814, 28), Disturbance("pace", 952, 8613, 5)], 11529)
def test_a_sender_that_answers_and_keeps_its_pace_again_is_in_step_within_two_seconds(
    delay_ms, packet_samples, off, known_ms
):
    """Its clock is known and asked for once a second, and then it is no clock for a while."""
    begin = Disturbance(kind="losses", after_ms=known_ms, size_ms=1, count=1)
    history = calm(
        delay_ms=delay_ms, packet_samples=packet_samples, answers=True, disturbances=(begin, *off)
    )
    outcome = play(history)
    assert not outcome.is_deaf, outcome
    assert outcome.hole_ns < 100 * MS, "it goes to another place in time only before that"


@given(histories.filter(lambda one: one.mode == "synchronised"), st.integers(0, 60))
@settings(max_examples=40)
def test_two_nodes_behind_different_ways_are_in_step_after_whatever_their_sender_did(history, ms):
    """What only the sender did befell both alike."""
    assert in_step_ns(history, further_ms=ms) <= (ms + 2 * history.jitter_ms + 30) * MS


def test_a_thousand_drawn_histories_leave_no_node_deaf(capsys):
    run(["--histories", "1000", "--seed", "12"])
    assert "1000 histories, 0 failed" in capsys.readouterr().out


def test_the_histories_find_a_node_that_keeps_the_places_of_silent_sources(monkeypatch):
    monkeypatch.setattr("node.stack.whose_place", lambda *_: None)
    assert run(["--histories", "1000", "--first-failed"]) == 1


def test_the_histories_find_a_buffer_that_is_too_small_for_its_delay(monkeypatch):
    monkeypatch.setattr("node.jitter.buffer.slots_for", lambda _: 256)
    assert run(["--histories", "1000", "--first-failed"]) == 1
