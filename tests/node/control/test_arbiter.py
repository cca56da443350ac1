"""Who has the horn, and who gets it back."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from node.control.arbiter import (
    RAMP_MAX_MS,
    Arbiter,
    HolderChanged,
    MessageClass,
    PriorityConfig,
    matrix,
)
from node.units import NS_PER_MS

NORMAL, PRIORITY, URGENT = MessageClass
TIERS = PriorityConfig().tiers
MUSIC, NEWS, SIREN = 11, 22, 33


def village(**changes: object) -> Arbiter:
    arbiter = Arbiter(PriorityConfig(**changes))  # type: ignore[arg-type]
    arbiter.set_source(MUSIC, NORMAL, "commune")
    arbiter.set_source(NEWS, PRIORITY, "province")
    arbiter.set_source(SIREN, URGENT, "commune")
    return arbiter


def events(arbiter: Arbiter) -> list[HolderChanged]:
    taken = []
    while (event := arbiter.next_event()) is not None:
        taken.append(event)
    return taken


def test_a_warning_takes_the_horn_and_gives_it_back():
    arbiter = village()
    for ms in range(0, 1000, 20):
        arbiter.receive_packet(MUSIC, ms * NS_PER_MS)
    arbiter.receive_packet(SIREN, 990 * NS_PER_MS)
    assert arbiter.granted() == SIREN
    for ms in range(1000, 4100, 20):
        arbiter.receive_packet(MUSIC, ms * NS_PER_MS)
        arbiter.handle_deadline(ms * NS_PER_MS)
    assert [e.source for e in events(arbiter)] == [MUSIC, SIREN, MUSIC]


def test_unknown_sources_and_unknown_levels_get_nothing():
    arbiter = village()
    arbiter.receive_packet(99, 0)
    assert not arbiter.set_source(98, URGENT, "district")
    arbiter.receive_packet(98, 0)
    assert arbiter.granted() is None and arbiter.grants() == ()


def test_no_more_sources_than_the_limit_are_held():
    arbiter = Arbiter(PriorityConfig())
    assert sum(arbiter.set_source(s, NORMAL, "commune") for s in range(200)) == 64


def test_the_commune_decides_between_its_priority_item_and_one_from_above():
    for clash, winner in (("upper_first", NEWS), ("commune_first", 44)):
        arbiter = village(clash=clash)
        arbiter.set_source(44, PRIORITY, "commune")
        arbiter.receive_packet(NEWS, 0)
        arbiter.receive_packet(44, 1)
        assert arbiter.granted() == winner


def test_a_ducked_source_sounds_softly_under_the_one_above():
    arbiter = village(duck_db={"priority over normal": -20.0})
    arbiter.receive_packet(MUSIC, 0)
    arbiter.receive_packet(NEWS, 1)
    assert [(g.source, g.gain_db) for g in arbiter.grants()] == [(NEWS, 0.0), (MUSIC, -20.0)]
    arbiter.receive_packet(SIREN, 2)
    assert [(g.source, g.gain_db) for g in arbiter.grants()] == [(SIREN, 0.0)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ramp_ms": 201},
        {"tiers": ()},
        {"commune_tier": "district"},
        {"duck_db": {"priority over normal": 0.0}},
        {"duck_db": {"loud over quiet": -20.0}},
        {"hold_ms": {"normal": 1000}},
        {"level_counts": ("loud",)},
    ],
)
def test_wrong_rules_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"priority.{next(iter(wrong))} = "):
        PriorityConfig(**wrong)


def test_the_matrix_says_what_happens_and_the_arbiter_does_it():
    for tie_break in ("first", "newest"):
        config = PriorityConfig(
            tie_break=tie_break, clash="commune_first", duck_db={"priority over normal": -12.0}
        )
        rows = [line.split(" | ") for line in matrix(config).splitlines()]
        kinds = [name.strip().split("/") for name in rows[0][1:]]
        assert len(kinds) == 12
        for row in rows[1:]:
            new_class, new_level = row[0].strip().split("/")
            for (holder_class, holder_level), cell in zip(kinds, row[1:], strict=True):
                arbiter = Arbiter(config)
                arbiter.set_source(1, MessageClass[holder_class.upper()], holder_level)
                arbiter.set_source(2, MessageClass[new_class.upper()], new_level)
                arbiter.receive_packet(1, 0)
                arbiter.receive_packet(2, 1)
                taken = cell.strip().startswith(("PREEMPT", "DUCK", "takes"))
                assert arbiter.granted() == (2 if taken else 1), (row[0], holder_class, cell)
                assert len(arbiter.grants()) == (2 if "dB" in cell else 1)


SOURCE = st.tuples(st.sampled_from(list(MessageClass)), st.sampled_from(TIERS))
STEP = st.tuples(
    st.sampled_from(["packet", "packet", "packet", "release", "deadline"]),
    st.integers(0, 5),
    st.integers(0, 4000),
)
CONFIGS = st.builds(
    PriorityConfig,
    clash=st.sampled_from(["upper_first", "commune_first"]),
    tie_break=st.sampled_from(["first", "newest"]),
    duck_db=st.sampled_from([{}, {"priority over normal": -20.0}, {"urgent over normal": -40.0}]),
)


@settings(deadline=None)
@given(CONFIGS, st.lists(SOURCE, min_size=1, max_size=6), st.lists(STEP, max_size=60))
def test_never_two_at_once_unless_duck_says_so_and_urgent_never_waits(config, sources, steps):
    arbiter = Arbiter(config)
    for number, (kind, level) in enumerate(sources):
        arbiter.set_source(number, kind, level)
    now_ns = 0
    for step, number, gap_ms in steps:
        if number >= len(sources):
            continue
        now_ns += gap_ms * NS_PER_MS
        if step == "packet":
            arbiter.receive_packet(number, now_ns)
        elif step == "release":
            arbiter.release(number, now_ns)
        else:
            arbiter.handle_deadline(now_ns)
        arbiter.handle_deadline(now_ns)
        grants = arbiter.grants()
        assert len({g.source for g in grants}) == len(grants) <= 2
        assert [g.gain_db for g in grants[:1]] in ([], [0.0])
        if len(grants) == 2:
            upper, lower = (sources[g.source][0] for g in grants)
            assert upper > lower
            assert config.gain_under_db(upper, lower) == grants[1].gain_db < 0
        if step == "packet" and sources[number][0] is URGENT:
            # At the very packet; what remains is the ramp, which the configuration bounds.
            assert sources[arbiter.granted()][0] is URGENT
            assert config.ramp_ms <= RAMP_MAX_MS
        deadline_ns = arbiter.next_deadline_ns()
        assert deadline_ns is None or deadline_ns > now_ns


@settings(deadline=None)
@given(
    st.sampled_from(["first", "newest"]),
    st.lists(st.tuples(st.booleans(), st.integers(1, 3000)), max_size=200),
)
@example("newest", [(False, 20), (True, 20)] * 50)
@example("newest", [(False, 20), (True, 1500)] * 50)
def test_two_equal_senders_do_not_flap(tie_break, packets):
    config = PriorityConfig(tie_break=tie_break)
    arbiter = Arbiter(config)
    for number in (0, 1):
        arbiter.set_source(number, PRIORITY, "commune")
    last_ns = {0: -(10**12), 1: -(10**12)}
    taken_ns = {0: -(10**12), 1: -(10**12)}
    now_ns = 0
    for second, gap_ms in packets:
        now_ns += gap_ms * NS_PER_MS
        arbiter.handle_deadline(now_ns)
        arbiter.receive_packet(int(second), now_ns)
        for event in events(arbiter):
            if None not in (event.source, event.previous):
                silent_ns = now_ns - last_ns[event.previous]
                if silent_ns < config.hold_ms["priority"] * NS_PER_MS:
                    assert tie_break == "newest"
                    assert now_ns - taken_ns[event.source] >= config.retake_ms * NS_PER_MS
                    taken_ns[event.source] = now_ns
        last_ns[int(second)] = now_ns
