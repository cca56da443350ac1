"""A signed time that agrees with nothing here interrupts nothing that plays."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.events import SourceEnded, StartPart, StopPart
from node.control.trust.message import Kind
from tests.node.control.test_controller import (
    AREA,
    CALENDAR,
    COMMUNE,
    PROVINCE,
    ROOT,
    URGENT,
    Village,
)
from tests.node.control.trust.test_refused_uses_up_nothing import session, warning

DAY_S = 86_400
OVER = {ROOT: "", PROVINCE: "vn/lang-son", COMMUNE: AREA}


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(list(OVER)), st.integers(-9 * DAY_S, 9 * DAY_S)), max_size=6)
)
@example([(PROVINCE, 1), (PROVINCE, 2), (PROVINCE, 3)])
@example([(ROOT, 3500)])
@example([(ROOT, 3601), (COMMUNE, -DAY_S)])
def test_a_beacon_ends_neither_item_nor_voice_nor_warning_while_the_clock_is_right(beacons):
    village = Village("2025-12-07T05:20:00")
    assert village.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode()) == "obeyed"
    village.until("2025-12-07T05:31:00")
    assert "news" in village.heard()
    village.order(PROVINCE, Kind.SESSION, session())
    village.order(PROVINCE, Kind.SHORT_ALERT, warning(), message_class=URGENT)
    names, gain_db = village.node.sessions.names(), village.node.gain_db(village.now_ns)
    village.events.clear()
    for by, ahead_s in beacons:
        village.order(by, Kind.BEACON, area=OVER[by], late_s=-ahead_s, ttl_s=604_800)
    assert not [e for e in village.events if isinstance(e, StartPart | StopPart | SourceEnded)]
    assert village.node.sessions.names() == names
    assert village.node.gain_db(village.now_ns) == gain_db
