"""A day invented for tests of what is told of it: no row of it was lived."""

from dataclasses import replace

from sim.day.totals import orders_totals, strangers_totals, warned_totals
from sim.result.day import DayNode, DayOrder, DayResult
from tests.sim.report.example_result import example_result

POLE = DayNode(
    node="node-00",
    commune="Thiện Tân",
    hamlet="Thôn 1",
    cluster="c00",
    house_m=40.0,
    house_area="common",
    group=0,
    offset_s=0,
    played_ms=0.0,
    concealed_ms=0.0,
    proof_head="",
    orders_came=1,
)
ORDER = DayOrder(
    node="node-00",
    order="alert",
    kind="alert",
    by="commune",
    place="",
    number=1,
    sent_s=0.0,
    arrived_s=1.0,
    answer="waiting",
    fate="heard",
    reason="",
    first_sound_s=1.5,
    heard_pct=100.0,
    played_dba=70.0,
    languages="vi",
)
NO_ITEMS = dict.fromkeys(
    (
        "items", "played", "refused", "missed", "cut_off", "items_not_known", "lowered_minutes",
        "silenced_minutes", "justified_minutes", "breaches", "taken_over", "pairs_overlapping",
        "pairs_left",
    ),
    0,
)  # fmt: skip


def told(orders, *, date="2026-11-23", zone="Asia/Ho_Chi_Minh", **more):
    """Return a run with a day of these orders."""
    levels = dict.fromkeys(("loudest_dba", "urgent_first_sample_max_ms", "first_sample_max_ms"))
    totals = (
        NO_ITEMS | levels | warned_totals(orders) | orders_totals(orders) | strangers_totals(orders)
    )
    tables = {"rules": [], "items": [], "spans": [], "decisions": [], "volumes": []} | more
    day = DayResult(
        date=date,
        zone=zone,
        live_at="12:00",
        trace_hash="ef" * 32,
        totals=totals,
        nodes=[POLE, replace(POLE, node="node-01", cluster="c01")],
        orders=list(orders),
        **tables,
    )
    return replace(example_result(), day=day)
