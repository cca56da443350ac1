"""Two keys of one tier: who may order less takes nothing from who may order more."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.orders import Session
from node.control.precedence import MessageClass
from node.control.trust.fates import NOT_ITS_PLAN
from node.control.trust.message import Kind
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from tests.node.control.test_controller import (
    AREA,
    CALENDAR,
    NORMAL,
    PRIORITY,
    ROOT,
    URGENT,
    Village,
    signer,
)
from tests.node.control.trust.test_rights import HERE, SILENT, notes, playing

MORE, LESS = signer("who may more"), signer("who may less")
WIDE = "vn/lang-son"
PLAN = b"volume = 33\nemergency_floor = 77"
ITEM = CALENDAR.replace(
    'start = "', 'message_class = "priority"\nlevel = "province"\nstart = "'
).encode()
NONE = b""
RIGHTS = (
    ((URGENT, WIDE), (PRIORITY, WIDE)),
    ((URGENT, WIDE), (NORMAL, WIDE)),
    ((URGENT, AREA), (NORMAL, WIDE)),
    ((PRIORITY, WIDE), (NORMAL, HERE)),
    ((URGENT, WIDE), (URGENT, AREA)),
    ((PRIORITY, AREA), (PRIORITY, HERE)),
)
"""Highest class and area of either: the second may order less."""

MINE = {
    "volume": (Kind.VOLUME, PLAN),
    "calendar": (Kind.CALENDAR, ITEM),
    "mute": (Kind.MUTE, NONE),
    "stream": (Kind.SESSION, msgspec.json.encode(Session(7))),
    "name": (Kind.SESSION, msgspec.json.encode(Session(8, stream="radio"))),
    "warning": (Kind.SHORT_ALERT, encode_short("alert", 1, lasts_s=86_400)),
}
OTHERS = {
    "silent": (Kind.VOLUME, SILENT),
    "no item": (Kind.CALENDAR, NONE),
    "mute": (Kind.MUTE, NONE),
    "unmute": (Kind.UNMUTE, NONE),
    "end": (Kind.SESSION_END, msgspec.json.encode(Session(7))),
    "take": (Kind.SESSION, msgspec.json.encode(Session(7))),
    "name": (Kind.SESSION, msgspec.json.encode(Session(9, stream="radio"))),
    "cancel": (Kind.SHORT_ALERT, encode_short("cancel", 2, about=1)),
    "update": (Kind.SHORT_ALERT, encode_short("update", 3, about=1, lasts_s=1)),
    "number": (Kind.SHORT_ALERT, encode_short("alert", 1, lasts_s=1)),
}


def village_of(rights: tuple[tuple[int, str], tuple[int, str]], wall: str) -> Village:
    village = Village(wall)
    for key, (most, area) in zip((MORE, LESS), rights, strict=True):
        assert village.certify(ROOT, key, "province", area, most) == "obeyed"
    return village


def order(village: Village, by: SeedSigner, what: tuple[Kind, bytes], most: int) -> str:
    kind, content = what
    least = NORMAL if kind in (Kind.VOLUME, Kind.CALENDAR, Kind.MUTE, Kind.UNMUTE) else most
    return village.order(by, kind, content, area=HERE, message_class=least, ttl_s=86_400)


def state(village: Village) -> dict[str, Any]:
    """Return what stands of what the first key has ordered."""
    node, now_ns = village.node, village.now_ns
    return {
        "volume": [
            node.loudness(kind, now_ns, level="province")[0].volume for kind in MessageClass
        ],
        "lowest": node.lowest_class("commune"),
        "stream": node.source_class(7),
        "name": node.sessions.named("radio", node.rank_of("province"), NORMAL),
        "warning": [one for one in playing(village) if one.startswith("#")],
    }


@given(
    st.sampled_from(RIGHTS),
    st.lists(st.sampled_from(sorted(MINE)), min_size=1, unique=True),
    st.lists(st.sampled_from(sorted(OTHERS)), min_size=1, max_size=6),
    st.integers(0, 3),
)
@example(RIGHTS[0], ["volume"], ["silent"], 0)
@example(RIGHTS[4], ["volume", "calendar"], ["silent", "no item"], 1)
@example(RIGHTS[1], ["mute"], ["unmute"], 0)
@example(RIGHTS[1], ["calendar"], ["mute", "no item"], 0)
@settings(max_examples=150)
def test_what_a_key_ordered_stands_whatever_one_orders_that_may_less(rights, mine, others, boots):
    """The orders of both and those of the first alone leave the same of the first."""
    most, less = rights[0][0], rights[1][0]
    both, alone = (village_of(rights, "2025-12-07T05:00:00") for _ in range(2))
    for village in (both, alone):
        for one in mine:
            assert order(village, MORE, MINE[one], most) in ("obeyed", "waiting")
    for at, one in enumerate(others):
        order(both, LESS, OTHERS[one], less)
        if boots >> at & 1:
            for village in (both, alone):
                village.boot()
    after, kept = state(both), state(alone)
    first = 0 if "volume" in mine else less + 1
    assert after["volume"][first : most + 1] == kept["volume"][first : most + 1]
    for what in {"stream", "name"} & {*mine}:
        assert kept[what] in (None, after[what]), what  # streams end with the power
    if less < most:  # a cancel is judged by tier and class
        assert after["warning"] == kept["warning"] or "warning" not in mine
    assert after["lowest"] >= kept["lowest"]
    if "calendar" in mine and less < PRIORITY:
        for village in (both, alone):
            village.until("2025-12-07T05:31:00")
        assert ("news" in both.heard()) == ("news" in alone.heard())


@pytest.mark.parametrize("boots", [0, 1])
def test_a_plan_is_replaced_by_who_may_as_much_and_refused_with_a_remedy_to_who_may_less(boots):
    village = village_of(RIGHTS[0], "2025-12-07T02:00:05")
    for kind, mine in ((Kind.VOLUME, PLAN), (Kind.CALENDAR, ITEM)):
        assert order(village, MORE, (kind, mine), URGENT) == "obeyed"
        for _ in range(boots):
            village.boot()
        assert order(village, LESS, (kind, NONE), PRIORITY) == NOT_ITS_PLAN
        assert "sign with that key, or with one of its tier" in village.answers()[-1].remedy
        assert any(NOT_ITS_PLAN in one for one in notes(village))
    heir = signer("heir")
    village.certify(ROOT, heir, "province", WIDE, URGENT)
    assert order(village, heir, (Kind.VOLUME, b"volume = 44"), URGENT) == "obeyed"
    village.certify(ROOT, heir, "province", WIDE, PRIORITY)
    assert order(village, LESS, (Kind.VOLUME, b"volume = 55"), PRIORITY) == "obeyed"
    assert village.node.loudness(NORMAL, village.now_ns, level="province")[0].volume == 55


@pytest.mark.parametrize("boots", [0, 1])
def test_a_plan_says_nothing_of_classes_that_its_key_may_not_order(boots):
    village = village_of(RIGHTS[1], "2025-12-07T02:00:05")
    assert order(village, LESS, (Kind.VOLUME, SILENT), NORMAL) == "obeyed"
    for _ in range(boots):
        village.boot()
    said = {
        k: village.node.loudness(k, village.now_ns, level="commune")[0].volume for k in MessageClass
    }
    assert said == {NORMAL: 0, PRIORITY: 70, URGENT: 80}


def test_a_mute_silences_of_its_own_tier_what_its_key_may_order_and_all_but_warnings_below():
    village = village_of(RIGHTS[1], "2025-12-07T02:00:05")
    assert order(village, LESS, (Kind.MUTE, NONE), NORMAL) == "obeyed"
    lowest = {tier: village.node.lowest_class(tier) for tier in ("national", "province", "commune")}
    assert lowest == {"national": NORMAL, "province": PRIORITY, "commune": URGENT}
    assert order(village, MORE, (Kind.MUTE, NONE), NORMAL) == "obeyed"
    assert village.node.lowest_class("province") is URGENT
    assert order(village, LESS, (Kind.UNMUTE, NONE), NORMAL) == "muted from above"
    assert village.node.lowest_class("province") is URGENT
    assert order(village, MORE, (Kind.UNMUTE, NONE), NORMAL) == "obeyed"
    assert village.node.lowest_class("province") is NORMAL


@pytest.mark.parametrize("rights", RIGHTS)
def test_a_stream_of_who_may_less_keeps_neither_number_nor_name_from_who_may_more(rights):
    village = village_of(rights, "2025-12-07T02:00:05")
    most, less = rights[0][0], rights[1][0]
    is_more = rights[0][1] != AREA or rights[1][1] != WIDE
    for name in ("name", "take"):
        assert order(village, LESS, OTHERS[name], less) == "obeyed"
    took = [order(village, MORE, MINE[name], most) for name in ("name", "stream")]
    assert (took == ["obeyed"] * 2) == is_more
    assert village.node.sessions.named("radio", village.node.rank_of("province"), NORMAL) == (
        8 if is_more else 9
    )
    assert (order(village, LESS, OTHERS["name"], less) == "obeyed") is not is_more
    assert village.node.source_class(7) == ((most if is_more else less), "province")
