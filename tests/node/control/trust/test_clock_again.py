"""Whatever clocks have said: when they are right again, a node trusts its own and obeys again."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.trust.message import Kind
from node.units import NS_PER_S
from tests.node.control.test_controller import COMMUNE, PRIORITY, PROVINCE, ROOT, URGENT, Village
from tests.node.control.trust.test_rights import notes, playing, warn

HOUR_S, DAY_S = 3600, 86_400
WRONG_S = st.sampled_from(
    [s * sign for s in (1, 599, HOUR_S, 7 * HOUR_S, DAY_S, 400 * DAY_S) for sign in (1, -1)]
)
WHO = {"root": ROOT, "province": PROVINCE, "commune": COMMUNE}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("clock"), WRONG_S, st.booleans()),
        st.tuples(st.just("boot"), WRONG_S, st.booleans()),
        st.tuples(st.just("order"), WRONG_S, st.sampled_from(sorted(WHO))),
        st.tuples(st.just("beacon"), WRONG_S, st.sampled_from(sorted(WHO))),
        st.tuples(st.just("wait"), st.sampled_from((1, HOUR_S, 2 * DAY_S)), st.none()),
    ),
    max_size=10,
)


def happen(village: Village, what: str, wrong_s: int, how: object) -> None:
    """Let one thing happen; `wrong_s` is by how much a clock is ahead, or how long it takes."""
    if what == "wait":
        village.now_ns += wrong_s * NS_PER_S
        village.node.handle_deadline(village.now_ns)
        village.take()
    elif what in ("clock", "boot"):
        village.offset_ns += wrong_s * NS_PER_S
        if what == "boot":
            village.boot(trusted=bool(how))
        else:
            village.read_clock(trusted=bool(how))
        village.offset_ns -= wrong_s * NS_PER_S
    else:
        kind = Kind.BEACON if what == "beacon" else Kind.MUTE
        by, area = WHO[str(how)], "vn/lang-son" if how != "commune" else "vn/lang-son/huu-lien"
        most = PRIORITY if how == "commune" else URGENT
        village.order(by, kind, area=area, message_class=most, late_s=-wrong_s, ttl_s=3 * DAY_S)


@settings(max_examples=150)
@given(STEPS)
@example([("boot", 400 * DAY_S, True), ("order", 400 * DAY_S, "province")])
@example([("boot", 400 * DAY_S, True), ("beacon", 400 * DAY_S, "root")])
@example([("clock", 7 * HOUR_S, True), ("beacon", 7 * HOUR_S, "province"), ("boot", 0, False)])
def test_when_the_clock_is_right_again_it_is_trusted_and_what_is_not_urgent_is_obeyed(steps):
    village = Village()
    for step in steps:
        happen(village, *step)
    village.read_clock()
    village.order(ROOT, Kind.BEACON, area="vn", message_class=URGENT)
    assert village.node.status(village.now_ns)["clock_trusted"]
    village.boot()
    for number, ahead_s in enumerate((0, 7 * HOUR_S, 400 * DAY_S)):
        assert warn(village, 100 + number, late_s=-ahead_s) == "waiting"
        assert f"#{100 + number:016x}" in playing(village), "an urgent order waits for no clock"
    assert village.node.status(village.now_ns)["clock_trusted"], "not even a restart forgets it"
    assert village.order(ROOT, Kind.UNMUTE, area="vn") == "obeyed"


def test_a_node_that_was_400_days_ahead_needs_nobody_to_be_right_again():
    village = Village()
    for wrong_s in (400 * DAY_S, -400 * DAY_S):
        happen(village, "boot", wrong_s, True)
        happen(village, "wait", 2 * DAY_S, None)
    village.boot()
    assert village.node.status(village.now_ns)["clock_trusted"]
    assert village.order(COMMUNE, Kind.MUTE) == "obeyed"
    village.read_clock(trusted=False)
    happen(village, "wait", DAY_S, None)
    village.offset_ns += 60 * NS_PER_S
    village.read_clock()
    assert any("the clock was stepped by +60.0 s" in one for one in notes(village))
