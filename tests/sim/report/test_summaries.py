"""The summaries for machines and reviews say that all is well where it is, and only there."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.day.stagger import StaggerPlan
from sim.day.totals import orders_totals, strangers_totals, totals_of, warned_totals
from sim.day.verdict import UNHEARD
from sim.report.summaries import junit, markdown
from sim.result.day import DayItem, DayNode, DayResult, DaySpan
from sim.run_command import with_day
from tests.sim.report.example_result import example_result

OUTCOMES = ("played", "refused", "stopped", "interrupted", "cancelled", *UNHEARD)
POLES = ("a", "b")


def pole(name):
    return DayNode(
        node=name, commune="C", hamlet="H", cluster=name, house_m=9.0, house_area="homes", group=0,
        offset_s=0, played_ms=0.0, concealed_ms=0.0, proof_head="", orders_came=0,
    )  # fmt: skip


def item(node, name, outcome):
    return DayItem(
        node=node, item=name, message_class="normal", outcome=outcome, reason="", due_s=18_000.0,
        started_s=None, first_sample_ms=None, sounded_s=0, volume=0, expected_dba=0.0,
        languages="", failed="",
    )  # fmt: skip


def span(played_dba):
    return DaySpan(
        node="a", from_s=0.0, until_s=9.0, item="x", message_class="normal", volume=50,
        asked_dba=60.0, played_dba=played_dba, limit_dba=55.0, action="play", rule="r",
    )  # fmt: skip


def day_of(items, spans=()):
    totals = totals_of(items, spans, (), StaggerPlan((), (), 0, 0))
    return DayResult(
        date="2026-10-30", zone="Asia/Ho_Chi_Minh", live_at="12:00", trace_hash="t", rules=[],
        totals=totals | warned_totals(()) | orders_totals(()) | strangers_totals(()), orders=[],
        decisions=[], volumes=[], items=items,
        nodes=[pole(one) for one in POLES], spans=list(spans),
    )  # fmt: skip


@given(
    st.lists(
        st.builds(item, st.sampled_from(POLES), st.sampled_from(["05:00", "17:00"]),
                  st.sampled_from(OUTCOMES)),
        min_size=1, max_size=8,
    ),
    st.sampled_from([40.0, 55.0, 70.0]),
)  # fmt: skip
def test_a_calendar_that_was_not_heard_or_too_loud_fails_its_case_and_is_in_the_verdict(
    items, played_dba
):
    """All failures were 0 where both poles had missed the whole day."""
    result = with_day(example_result(), day_of(items, [span(played_dba)]))
    unheard = [one for one in items if one.outcome in UNHEARD]
    suite = ElementTree.fromstring(junit(result))
    failed = {one.get("name"): one.find("failure") for one in suite.iter("testcase")}
    assert int(suite.get("tests")) == len(failed)
    assert int(suite.get("failures")) == sum(one is not None for one in failed.values())
    bad = bool(unheard) or played_dba > 55
    assert (failed["calendar"] is not None) == bad
    if bad:
        said = failed["calendar"].get("message")
        assert said in result.verdict and said in markdown(result)
        assert ("Above the noise limit" in said) == (played_dba > 55)
    if unheard:
        assert f"{len(unheard)} of {len(items)} items" in result.verdict
        assert all(one.item in said for one in unheard)


@pytest.mark.parametrize("name", ["#0000000000000001"])
def test_a_warning_is_no_item_of_the_calendar(name):
    """It has a case of its own."""
    told = ElementTree.fromstring(
        junit(with_day(example_result(), day_of([item("a", name, "missed")])))
    )
    assert "calendar" not in {one.get("name") for one in told.iter("testcase")}
