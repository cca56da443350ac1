"""Silence by order: it outlives the power, its end is known, and nothing urgent is silenced."""

import msgspec
import pytest

from node.control.precedence import MessageClass
from node.control.trust.authority import Revocation
from node.control.trust.message import Kind
from node.control.warning.short_alert import encode_short
from tests.node.control.test_controller import (
    AREA,
    CALENDAR,
    COMMUNE,
    NORMAL,
    PRIORITY,
    PROVINCE,
    URGENT,
    Village,
    signer,
)


def village_with_calendar(wall: str) -> Village:
    village = Village(wall)
    assert village.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode()) == "obeyed"
    return village


def lowest(village: Village) -> MessageClass:
    return village.node.lowest_class()


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_mute_outlives_power_cuts_and_ends_when_it_was_to(cuts):
    village = village_with_calendar("2025-12-07T05:00:00")
    assert village.order(PROVINCE, Kind.MUTE, ttl_s=3600) == "obeyed"
    for _ in range(cuts):
        village.boot()
        assert lowest(village) is URGENT
        assert village.order(COMMUNE, Kind.UNMUTE) == "muted from above"
    village.until("2025-12-07T05:59:00")
    assert village.heard() == []
    (proof,) = village.proofs()
    assert (proof["outcome"], proof["reason"]) == ("refused", "muted by x")
    village.until("2025-12-07T06:01:00")
    assert lowest(village) is NORMAL


def test_without_a_clock_a_kept_mute_waits_for_it_and_warnings_sound_all_the_same():
    village = village_with_calendar("2025-12-07T05:00:00")
    village.order(PROVINCE, Kind.MUTE, ttl_s=600)
    village.boot(trusted=False)
    village.now_ns += 3600 * 10**9
    village.node.handle_deadline(village.now_ns)
    assert lowest(village) is URGENT
    assert village.order(PROVINCE, Kind.SHORT_ALERT, encode_short("alert", 1), message_class=URGENT)
    assert village.heard() == [f"#{1:016x}"]
    village.read_clock()
    assert lowest(village) is NORMAL


def test_what_was_unmuted_stays_so_after_a_power_cut():
    village = village_with_calendar("2025-12-07T05:00:00")
    village.order(PROVINCE, Kind.MUTE, ttl_s=3600)
    assert village.order(PROVINCE, Kind.UNMUTE) == "obeyed"
    village.boot()
    assert lowest(village) is NORMAL


@pytest.mark.parametrize("first", [COMMUNE, PROVINCE])
def test_the_shorter_of_two_mutes_takes_nothing_from_the_longer(first):
    village = village_with_calendar("2025-12-07T05:00:00")
    other = COMMUNE if first is PROVINCE else PROVINCE
    village.order(first, Kind.MUTE, ttl_s=3600)
    assert village.order(other, Kind.MUTE, ttl_s=1) == "obeyed"
    village.until("2025-12-07T05:40:00")
    assert village.heard() == [] and village.node.status(village.now_ns)["muted_by"] == "x"


def test_nobody_mutes_who_stands_above():
    village = village_with_calendar("2025-12-07T05:00:00")
    hamlet = signer("hamlet")
    village.certify(COMMUNE, hamlet, "hamlet", f"{AREA}/coc-1", NORMAL)
    assert village.order(hamlet, Kind.MUTE, area=f"{AREA}/coc-1", ttl_s=7200) == "obeyed"
    assert lowest(village) is PRIORITY and village.node.lowest_class("commune") is NORMAL
    village.until("2025-12-07T05:40:00")
    assert village.heard() == ["news"]


def test_a_mute_ends_with_the_right_of_its_key():
    village = village_with_calendar("2025-12-07T05:00:00")
    village.order(COMMUNE, Kind.MUTE, ttl_s=7200)
    content = msgspec.json.encode(Revocation((COMMUNE.key_id,)))
    village.order(PROVINCE, Kind.REVOCATION, content, area="vn/lang-son")
    assert lowest(village) is NORMAL
    village.boot()
    assert lowest(village) is NORMAL


def test_a_mute_from_a_disk_that_somebody_wrote_on_is_not_believed():
    village = village_with_calendar("2025-12-07T05:00:00")
    village.order(PROVINCE, Kind.MUTE, ttl_s=3600)
    (name,) = [name for name in village.disk if name.startswith("mute/")]
    village.disk[name] = village.disk[name][:-3] + bytes(3)
    village.boot()
    assert lowest(village) is NORMAL


def test_a_programme_that_runs_is_stopped_by_a_mute_with_a_record():
    village = village_with_calendar("2025-12-07T05:29:00")
    village.until("2025-12-07T05:33:00")
    assert village.heard() == ["news"]
    village.order(PROVINCE, Kind.MUTE, ttl_s=60)
    (proof,) = village.proofs()
    assert (proof["outcome"], proof["reason"]) == ("stopped", "muted by x")
