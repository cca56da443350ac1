"""Nobody reaches beyond their right, now or later: what was ordered ends with the right to it."""

import msgspec
import pytest

from benchmarks.control.control_cap import FLOOD
from node.control.events import StartPart
from node.control.loudness.schedule import VolumeConfig
from node.control.orders import OWN_SSRCS, Session
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate, Revocation
from node.control.trust.message import Kind
from node.control.trust.rates import ORDINARY
from node.control.trust.signature import SeedSigner
from node.control.warning.area import Circle
from node.control.warning.short_alert import encode_short, identifier_of
from node.events import Note
from tests.node.control.test_controller import (
    AREA,
    CALENDAR,
    COMMUNE,
    NORMAL,
    PRIORITY,
    PROVINCE,
    ROOT,
    URGENT,
    Village,
    signer,
    utc_s,
)

HAMLET = signer("hamlet")
HERE = f"{AREA}/coc-1"
SILENT = b"volume = 0\nemergency_floor = 0\nuntrusted_volume = 0"


def with_hamlet(wall: str = "2025-12-07T02:00:05", **more: object) -> Village:
    village = Village(wall, **more)
    village.certify(COMMUNE, HAMLET, "hamlet", HERE, NORMAL)
    return village


def revoke(village: Village, key: SeedSigner, by: SeedSigner) -> str:
    content = msgspec.json.encode(Revocation((key.key_id,)))
    return village.order(by, Kind.REVOCATION, content, area="vn/lang-son")


def warn(village: Village, number: int = 1, by: SeedSigner = PROVINCE, **more: object) -> str:
    content = encode_short("alert", number, lasts_s=3600)
    return village.order(by, Kind.SHORT_ALERT, content, message_class=URGENT, **more)


def playing(village: Village) -> list[str]:
    return list(village.node.status(village.now_ns)["playing"].values())


def notes(village: Village) -> list[str]:
    return [event.text for event in village.events if isinstance(event, Note)]


def test_a_hamlets_volume_plan_takes_nothing_from_those_above_not_even_after_a_power_cut():
    village = with_hamlet()
    assert village.order(HAMLET, Kind.VOLUME, SILENT, area=HERE) == "obeyed"
    for _ in range(2):
        for level in ("national", "province", "commune"):
            for kind in MessageClass:
                decision, _ = village.node.loudness(kind, village.now_ns, level=level)
                assert decision.volume == (80 if kind is URGENT else 70)
        assert village.node.loudness(NORMAL, village.now_ns, level="hamlet")[0].volume == 0
        village.boot()
    village.boot(trusted=False)
    assert village.node.loudness(URGENT, village.now_ns, level="commune")[0].volume == 80


def test_status_says_what_is_heard_not_what_only_has_the_horn_or_waits_for_it():
    village = Village()
    assert warn(village, 1) == "waiting"
    assert village.node.status(village.now_ns)["sounds"] == playing(village) == [identifier_of(1)]
    (source,) = map(int, village.node.status(village.now_ns)["playing"])
    village.node.receive_grants((), village.now_ns)
    assert village.node.status(village.now_ns)["sounds"] == [], "something else has the horn"
    village.node.receive_grants((source,), village.now_ns)
    village.order(PROVINCE, Kind.VOLUME, SILENT, message_class=URGENT)
    assert village.node.status(village.now_ns)["sounds"] == [] != playing(village)


def test_a_plan_from_above_holds_for_those_below_who_have_none():
    village = with_hamlet(volume=VolumeConfig(volume=60))
    village.order(PROVINCE, Kind.VOLUME, b"volume = 20")
    village.order(COMMUNE, Kind.VOLUME, b"volume = 30")
    said = {
        level: village.node.loudness(NORMAL, village.now_ns, level=level)[0].volume
        for level in ("national", "province", "commune", "hamlet")
    }
    assert said == {"national": 60, "province": 20, "commune": 30, "hamlet": 30}


def test_an_item_above_its_signers_class_is_refused_and_its_tier_is_the_signers():
    village = with_hamlet("2025-12-07T05:29:00")
    urgent = CALENDAR.replace(
        'start = "', 'message_class = "urgent"\nlevel = "national"\nstart = "'
    )
    fate = village.order(HAMLET, Kind.CALENDAR, urgent.encode(), area=HERE)
    assert fate == "above its class: item 'news' is urgent"
    national = CALENDAR.replace('start = "', 'level = "national"\nstart = "')
    assert village.order(HAMLET, Kind.CALENDAR, national.encode(), area=HERE) == "obeyed"
    village.until("2025-12-07T05:31:00")
    (part,) = [event for event in village.events if isinstance(event, StartPart)]
    assert (part.level, part.message_class) == ("hamlet", NORMAL)
    unknown = CALENDAR.replace('start = "', 'level = "district"\nstart = "').encode()
    assert "level = 'district': must be one of" in village.order(COMMUNE, Kind.CALENDAR, unknown)


@pytest.mark.parametrize("boots", [0, 1])
def test_with_a_revocation_ends_all_that_the_key_ordered(boots):
    village = Village("2025-12-07T05:20:00")
    village.order(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(7)), ttl_s=86_400)
    village.order(COMMUNE, Kind.MUTE, ttl_s=86_400)
    village.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
    village.order(COMMUNE, Kind.VOLUME, b"volume = 33")
    village.order(PROVINCE, Kind.MUTE, ttl_s=1)
    for _ in range(boots):
        village.boot()
    assert revoke(village, COMMUNE, PROVINCE) == "obeyed"
    status = village.node.status(village.now_ns)
    assert village.node.source_class(7) is None and status["muted_by"] != "huu-lien"
    assert village.node.loudness(NORMAL, village.now_ns)[0].volume == 70
    assert any(
        "the calendar of x ended: unknown key; send it again" in one for one in notes(village)
    )
    village.boot()
    village.until("2025-12-07T05:50:00")
    assert village.heard() == []


def test_a_warning_that_sounds_or_waits_ends_with_the_right_and_another_key_may_say_it_again():
    village = Village()
    warn(village)
    assert playing(village) == [f"#{1:016x}"]
    revoke(village, PROVINCE, ROOT)
    assert playing(village) == []
    second = signer("province 2")
    village.certify(ROOT, second, "province", "vn/lang-son", URGENT)
    assert warn(village, by=second) == "waiting" and playing(village)


def test_narrowing_acts_at_once_on_what_is_under_way():
    village = Village()
    village.order(
        PROVINCE, Kind.SESSION, msgspec.json.encode(Session(7)), message_class=URGENT, ttl_s=86_400
    )
    village.order(PROVINCE, Kind.SESSION, msgspec.json.encode(Session(8)), ttl_s=86_400)
    warn(village)
    village.certify(ROOT, PROVINCE, "province", "vn/lang-son", NORMAL)
    assert village.node.source_class(7) is None and playing(village) == []
    assert village.node.source_class(8) == (NORMAL, "province")


def test_a_running_item_stops_when_its_certificate_ends_and_goes_on_when_it_is_renewed():
    village = Village("2025-12-07T05:00:00")
    village.order(COMMUNE, Kind.CALENDAR, CALENDAR.encode())
    claim = Certificate(
        "x", COMMUNE.public_key, "commune", AREA, PRIORITY, utc_s("2025-12-07T05:35:00")
    )
    village.order(PROVINCE, Kind.CERTIFICATE, msgspec.json.encode(claim))
    village.until("2025-12-07T05:34:00")
    assert playing(village) == ["news"]
    village.until("2025-12-07T05:36:00")
    assert playing(village) == []
    (record,) = village.proofs()
    assert record["reason"] == "x: the certificate has ended"
    village.certify(PROVINCE, COMMUNE, "commune", AREA, PRIORITY)
    village.until("2025-12-08T05:31:00")
    assert playing(village) == ["news"]


@pytest.mark.parametrize("boots", [0, 1, 2])
def test_who_loses_its_right_for_a_while_has_not_given_back_what_it_revoked(boots):
    village = Village()
    nation, province, hamlet = signer("nation"), signer("their province"), signer("stolen")
    village.certify(ROOT, nation, "national", "vn", URGENT)
    village.certify(nation, province, "province", "vn", URGENT)
    content = msgspec.json.encode(Revocation((hamlet.key_id,)))
    assert village.order(province, Kind.REVOCATION, content, area="vn") == "obeyed"
    village.certify(ROOT, nation, "national", "vn", NORMAL)  # narrower than what it certified
    assert village.order(province, Kind.UNMUTE) == "unknown key"
    for _ in range(boots):
        village.boot()
    village.certify(ROOT, nation, "national", "vn", URGENT)
    assert village.certify(nation, province, "province", "vn", URGENT) == "obeyed"
    claim = Certificate("x", hamlet.public_key, "hamlet", "vn", NORMAL, 1 << 39)
    fate = village.order(province, Kind.CERTIFICATE, msgspec.json.encode(claim), area="vn")
    assert fate == "revoked"


@pytest.mark.parametrize("boots", [0, 1])
def test_who_was_certified_before_its_parent_was_narrowed_is_known_after_a_power_cut(boots):
    village = Village()
    nation, commune, hamlet = signer("nation"), signer("their commune"), signer("their hamlet")
    village.certify(ROOT, nation, "national", "vn", URGENT)
    village.certify(nation, commune, "commune", "vn/lang-son", URGENT)
    claim = Certificate("x", hamlet.public_key, "hamlet", AREA, NORMAL, 1 << 39)
    content = msgspec.json.encode(claim)
    assert village.order(commune, Kind.CERTIFICATE, content, area="vn/lang-son") == "obeyed"
    village.certify(nation, commune, "commune", AREA, URGENT)
    for _ in range(boots):
        village.boot()
    assert village.order(hamlet, Kind.UNMUTE) == "obeyed"


def test_a_certificate_that_has_ended_does_not_hide_that_its_key_came_down():
    village = Village()
    nation = signer("nation")
    village.certify(ROOT, nation, "national", "vn", URGENT)
    assert village.order(nation, Kind.VOLUME, b"volume = 20") == "obeyed"
    over_s = (village.now_ns + village.offset_ns) // 10**9 - 1
    claim = Certificate("x", nation.public_key, "province", "vn", URGENT, over_s)
    village.order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim))
    village.certify(ROOT, nation, "national", "vn", URGENT)
    assert village.node.loudness(NORMAL, village.now_ns, level="national")[0].volume == 70


@pytest.mark.parametrize("order", ["certificate first", "revocation first"])
@pytest.mark.parametrize("boots", [0, 1])
def test_revocation_and_certificate_arrive_in_any_order(order, boots):
    village = Village()
    claim = Certificate("h", HAMLET.public_key, "hamlet", HERE, NORMAL, 1 << 39)
    certificate = village.sealed(COMMUNE, Kind.CERTIFICATE, msgspec.json.encode(claim), area=HERE)
    content = msgspec.json.encode(Revocation((HAMLET.key_id,)))
    revocation = village.sealed(PROVINCE, Kind.REVOCATION, content, area="vn/lang-son")
    both = [certificate, revocation]
    for sealed in both if order == "certificate first" else reversed(both):
        village.send(sealed)
        for _ in range(boots):
            village.boot()
    assert village.order(HAMLET, Kind.MUTE, area=HERE) == "unknown key"


def test_a_certificate_that_was_narrowed_is_not_widened_by_the_older_one_that_comes_late():
    village = Village()
    claim = Certificate("x", COMMUNE.public_key, "commune", AREA, URGENT, 1 << 39)
    late = village.sealed(PROVINCE, Kind.CERTIFICATE, msgspec.json.encode(claim))
    village.certify(PROVINCE, COMMUNE, "commune", AREA, NORMAL)
    assert village.send(late) == "older than the certificate in force"
    village.boot()
    assert village.order(COMMUNE, Kind.MUTE, message_class=PRIORITY) == "above its class"


def test_who_stands_below_cannot_take_a_key_for_its_own_before_those_above_certify_it():
    village = Village()
    new = signer("province 2")
    village.certify(COMMUNE, new, "hamlet", HERE, NORMAL)
    assert village.certify(ROOT, new, "province", "vn/lang-son", URGENT) == "obeyed"
    assert warn(village, by=new) == "waiting"


@pytest.mark.parametrize("kind", ["update", "cancel"])
def test_an_exercise_takes_nothing_from_the_real_thing_nor_does_an_update_that_is_refused(kind):
    village = Village()
    warn(village)
    content = encode_short(kind, 2, about=1, exercise=True)
    village.order(PROVINCE, Kind.SHORT_ALERT, content, message_class=URGENT)
    expired = encode_short("update", 3, about=1, lasts_s=1)
    fate = village.order(PROVINCE, Kind.SHORT_ALERT, expired, message_class=URGENT, late_s=60)
    assert fate == "expired" and playing(village) == [f"#{1:016x}"]
    real = encode_short("cancel", 4, about=1)
    village.order(PROVINCE, Kind.SHORT_ALERT, real, message_class=URGENT)
    assert playing(village) == []


def test_an_exercise_under_the_number_of_a_warning_does_not_keep_it_silent():
    village = Village()
    for content in (
        encode_short("cancel", 9, about=1, exercise=True),
        encode_short("alert", 1, exercise=True),
    ):
        village.order(PROVINCE, Kind.SHORT_ALERT, content, message_class=URGENT)
    assert warn(village) == "waiting" and playing(village)


def test_a_key_of_less_weight_ends_no_warning_of_its_own_tier():
    village = Village()
    other = signer("office without warnings")
    village.certify(ROOT, other, "province", "vn/lang-son", PRIORITY)
    warn(village)
    content = encode_short("cancel", 2, about=1)
    village.order(other, Kind.SHORT_ALERT, content)
    assert playing(village) == [f"#{1:016x}"]


def cancel(village: Village, about: int, by: SeedSigner = PROVINCE) -> str:
    village.counter += 1
    content = encode_short("cancel", 10**6 + village.counter, about=about)
    return village.order(by, Kind.SHORT_ALERT, content, message_class=URGENT)


def test_a_cancel_about_nothing_says_so_in_its_signed_answer_and_in_the_log():
    village = Village()
    warn(village, 1)
    village.events.clear()
    assert cancel(village, 2) == "nothing in force under that number"
    assert playing(village) == [f"#{1:016x}"]
    (answer,) = village.answers()
    assert answer.fate == "nothing in force under that number"
    assert "compare the number with the one that was printed" in answer.remedy
    assert any("nothing in force under that number; compare" in one for one in notes(village))
    assert cancel(village, 2) == "nothing in force under that number", "asked twice, no better"
    assert cancel(village, 1) == "cancel" and playing(village) == []
    assert warn(village, 2) == "known" and playing(village) == [], "it was cancelled before it came"


def test_a_cancel_tells_what_is_over_and_what_another_has_ordered_from_what_it_ended():
    village = Village()
    other = signer("office without warnings")
    village.certify(ROOT, other, "province", "vn/lang-son", PRIORITY)
    warn(village, 1)
    content = encode_short("cancel", 2, about=1)
    assert village.order(other, Kind.SHORT_ALERT, content) == "not its to end"
    assert playing(village) == [f"#{1:016x}"]
    assert "sign with the key that ordered the warning" in village.answers()[-1].remedy
    village.until("2025-12-07T04:00:00")
    assert cancel(village, 1) == "over already" and village.answers()[-1].remedy == ""
    assert not any("over already" in one for one in notes(village)), "it is no fault"


def test_an_update_that_leaves_this_place_out_and_ends_nothing_here_is_not_for_this_place():
    village = Village()
    far = Circle((10.0, 106.0), 1000.0)
    for about, fate in ((1, "not for this place"), (2, "cancel")):
        warn(village, 2)
        content = encode_short("update", 10 + about, about=about, circle=far)
        assert village.order(PROVINCE, Kind.SHORT_ALERT, content, message_class=URGENT) == fate
    assert playing(village) == []


@pytest.mark.parametrize("count", [1, 256, 1200])
def test_no_number_of_references_or_cancels_ends_the_node_or_keeps_a_warning_silent(count):
    village = Village()
    for number in range(count):
        content = encode_short("cancel", 10_000 + number, about=20_000 + number)
        village.order(PROVINCE, Kind.SHORT_ALERT, content, message_class=URGENT)
        village.now_ns += 125_000_000
    for number in (1, 2):
        assert warn(village, number) == "waiting"
        assert f"#{number:016x}" in playing(village)
        village.boot()


def test_no_number_of_warnings_from_below_keeps_one_from_above_silent():
    village = Village()
    from_above = signer("national")
    village.certify(ROOT, from_above, "national", "vn", URGENT)
    for number in range(64):
        warn(village, 100 + number)
    assert warn(village, 1, by=from_above) == "waiting" and f"#{1:016x}" in playing(village)


def test_a_hamlets_streams_keep_no_other_out_and_none_has_a_number_of_the_nodes_own():
    village = with_hamlet()
    fates = [
        village.order(
            HAMLET, Kind.SESSION, msgspec.json.encode(Session(100 + n)), area=HERE, ttl_s=86_400
        )
        for n in range(32)
    ]
    assert fates[0] == "obeyed" and fates[-1] == "too many sessions"
    urgent = msgspec.json.encode(Session(100))
    for ssrc in (100, 5, 6):
        content = msgspec.json.encode(Session(ssrc))
        assert village.order(PROVINCE, Kind.SESSION, content, message_class=URGENT) == "obeyed"
        assert village.node.source_class(ssrc) == (URGENT, "province")
    assert village.order(HAMLET, Kind.SESSION, urgent, area=HERE) == "the stream belongs to another"
    own = msgspec.json.encode(Session(OWN_SSRCS))
    assert village.order(PROVINCE, Kind.SESSION, own) == "the node's own number"
    end = msgspec.json.encode(Session(101))
    assert village.order(PROVINCE, Kind.SESSION_END, end) == "obeyed"
    assert village.node.source_class(101) is None


def test_a_streams_name_belongs_to_the_tier_of_the_item_that_relays_it_or_one_above():
    village = with_hamlet()
    false, true = (msgspec.json.encode(Session(n, stream="radio")) for n in (1, 2))
    village.order(HAMLET, Kind.SESSION, false, area=HERE)
    named = village.node.sessions.named
    assert named("radio", village.node.rank_of("commune"), NORMAL) is None
    assert named("radio", village.node.rank_of("hamlet"), NORMAL) == 1
    village.order(PROVINCE, Kind.SESSION, true)
    assert named("radio", village.node.rank_of("hamlet"), NORMAL) == 2
    again = msgspec.json.encode(Session(3, stream="radio"))
    fate = village.order(HAMLET, Kind.SESSION, again, area=HERE)
    assert fate == "the name of the stream belongs to another"
    assert village.order(PROVINCE, Kind.SESSION, again) == "obeyed"
    assert named("radio", village.node.rank_of("hamlet"), NORMAL) == 3


def test_too_many_orders_of_one_key_are_stopped_and_another_keys_are_not():
    village = Village()
    fates = [village.order(COMMUNE, Kind.UNMUTE) for _ in range(ORDINARY[0] + 5)]
    assert fates[-1] == "too many orders" and fates[0] == "obeyed"
    for _ in range(1000):
        village.order(COMMUNE, Kind.UNMUTE)
    told = [one for one in village.answers() if one.fate == "too many orders"]
    assert len(told) == sum("too many orders" in one for one in notes(village)) == 8
    assert "wait some seconds" in told[0].remedy
    assert village.order(PROVINCE, Kind.UNMUTE) == "obeyed"
    village.now_ns += 10**9
    assert village.order(COMMUNE, Kind.UNMUTE) == "obeyed"


def test_revocations_fill_no_disk_and_a_list_stands_for_all():
    village = Village()
    empty = msgspec.json.encode(Revocation(()))
    before = len(village.disk)
    for _ in range(100):
        village.order(PROVINCE, Kind.REVOCATION, empty, area="vn/lang-son")
    assert len(village.disk) == before
    village.now_ns += 100 * 10**9
    fates = [revoke(village, signer(f"lost {n}"), PROVINCE) for n in range(40)]
    assert fates[-1] == "too many single revocations"
    keys = tuple(signer(f"lost {n}").key_id for n in range(40))
    village.now_ns += 100 * 10**9
    short = msgspec.json.encode(Revocation(keys[1:], 1))
    fate = village.order(PROVINCE, Kind.REVOCATION, short, area="vn/lang-son")
    assert fate.startswith("the list leaves out what was revoked before")
    whole = msgspec.json.encode(Revocation((*keys, COMMUNE.key_id), 1))
    assert village.order(PROVINCE, Kind.REVOCATION, whole, area="vn/lang-son") == "obeyed"
    assert sum(name.startswith("revocation/") and bool(v) for name, v in village.disk.items()) == 1
    village.boot()
    assert village.order(COMMUNE, Kind.MUTE) == "unknown key"
    assert village.node.status(0)["revocations"] == {PROVINCE.key_id.hex(): 1}


def test_what_a_sealed_emergency_key_ordered_ends_after_half_an_hour_and_is_told_aloud():
    village = Village()
    sealed = signer("sealed")
    claim = Certificate(
        "huu-lien", sealed.public_key, "commune", AREA, URGENT, 1 << 39, emergency=True
    )
    village.order(PROVINCE, Kind.CERTIFICATE, msgspec.json.encode(claim), area="vn/lang-son")
    content = encode_short("alert", 1, lasts_s=7 * 86_400)
    village.order(sealed, Kind.SHORT_ALERT, content, message_class=URGENT)
    session = msgspec.json.encode(Session(7))
    village.order(sealed, Kind.SESSION, session, message_class=URGENT, ttl_s=7 * 86_400)
    assert playing(village) and village.node.source_class(7) == (URGENT, "commune")
    assert any("THE SEALED EMERGENCY KEY OF huu-lien WAS USED" in one for one in notes(village))
    village.until("2025-12-07T02:30:06")
    assert playing(village) == [] and village.node.source_class(7) is None
    assert village.order(sealed, Kind.MUTE, message_class=URGENT) == "only warnings and voices"


def certify_anew(village: Village, key: SeedSigner, by: SeedSigner, **more: object) -> None:
    """Certify a key of Lạng Sơn anew, with all that it had but `more`."""
    tier, area = ("province", "vn/lang-son") if key is PROVINCE else ("commune", AREA)
    highest = URGENT if key is PROVINCE else PRIORITY
    claim = Certificate("x", key.public_key, tier, area, highest, 1 << 39, **more)
    content = msgspec.json.encode(claim)
    assert village.order(by, Kind.CERTIFICATE, content, area="vn/lang-son") == "obeyed"


@pytest.mark.parametrize("boots", [0, 1])
def test_who_may_give_the_time_no_more_has_given_nobody_else_that_right(boots):
    village = Village()
    certify_anew(village, COMMUNE, PROVINCE, gives_time=True)
    assert village.order(COMMUNE, Kind.BEACON) == "obeyed"
    certify_anew(village, PROVINCE, ROOT, gives_time=False)
    for _ in range(boots):
        village.boot()
    assert village.order(PROVINCE, Kind.BEACON) == "may not give the time"
    assert village.order(COMMUNE, Kind.BEACON) == "may not give the time"
    certify_anew(village, PROVINCE, ROOT, gives_time=True)
    assert village.order(COMMUNE, Kind.BEACON) == "obeyed"


@pytest.mark.parametrize("boots", [0, 1])
def test_a_key_that_is_sealed_now_mutes_plans_and_certifies_no_more(boots):
    village = Village("2025-12-07T05:00:00")
    assert village.order(PROVINCE, Kind.MUTE, ttl_s=86_400) == "obeyed"
    assert village.order(PROVINCE, Kind.CALENDAR, CALENDAR.encode()) == "obeyed"
    assert village.order(PROVINCE, Kind.VOLUME, SILENT) == "obeyed"
    warn(village)
    certify_anew(village, PROVINCE, ROOT, emergency=True)
    for _ in range(boots):
        village.boot()
    assert village.node.status(village.now_ns)["muted_by"] is None
    assert village.node.loudness(NORMAL, village.now_ns)[0].volume > 0
    assert village.order(COMMUNE, Kind.UNMUTE) == "unknown key"
    assert playing(village), "a warning is of what it may still order"
    village.until("2025-12-07T05:40:00")
    assert "news" not in playing(village)


SOME = ("warning", "volume")
NOT_ITS = "not an order that this key gives"


def test_a_key_that_may_order_some_kinds_orders_no_other():
    village = Village("2025-12-07T05:00:00")
    certify_anew(village, COMMUNE, PROVINCE, orders=SOME)
    warning = encode_short("alert", 1, lasts_s=3600)
    assert village.order(COMMUNE, Kind.SHORT_ALERT, warning, message_class=PRIORITY) == "waiting"
    assert village.order(COMMUNE, Kind.VOLUME, b"volume = 30") == "obeyed"
    child = Certificate("x", signer("child").public_key, "hamlet", HERE, NORMAL, 1 << 39)
    for kind, content in (
        (Kind.MUTE, b""),
        (Kind.UNMUTE, b""),
        (Kind.CALENDAR, CALENDAR.encode()),
        (Kind.SESSION, msgspec.json.encode(Session(7))),
        (Kind.SESSION_END, msgspec.json.encode(Session(7))),
        (Kind.SELF_TEST, b"silent"),
        (Kind.BEACON, b""),
        (Kind.REVOCATION, msgspec.json.encode(Revocation((HAMLET.key_id,)))),
        (Kind.CERTIFICATE, msgspec.json.encode(child)),
    ):
        assert village.order(COMMUNE, kind, content) == NOT_ITS, kind
    assert village.node.status(0)["muted_by"] is None and village.node.source_class(7) is None


@pytest.mark.parametrize("boots", [0, 1])
def test_what_a_key_ordered_ends_with_the_right_to_that_kind_and_whom_it_certified_with_it(boots):
    village = Village("2025-12-07T05:00:00")
    for kind, content in ((Kind.MUTE, b""), (Kind.CALENDAR, CALENDAR.encode())):
        assert village.order(PROVINCE, kind, content, ttl_s=86_400) == "obeyed"
    warn(village)
    certify_anew(village, PROVINCE, ROOT, orders=SOME)
    for _ in range(boots):
        village.boot()
    assert village.node.status(village.now_ns)["muted_by"] is None
    assert village.order(COMMUNE, Kind.UNMUTE) == "unknown key"
    assert playing(village), "a warning is of what it may still order"
    village.until("2025-12-07T05:40:00")
    assert "news" not in playing(village)


@pytest.mark.parametrize("orders", [(), ("sirens",), ("",)])
def test_a_certificate_that_allows_nothing_that_there_is_allows_nothing(orders):
    village = Village()
    claim = Certificate("x", HAMLET.public_key, "hamlet", HERE, NORMAL, 1 << 39, orders=orders)
    content = msgspec.json.encode(claim)
    assert village.order(COMMUNE, Kind.CERTIFICATE, content) == "allows nothing"
    assert village.order(HAMLET, Kind.MUTE, area=HERE) == "unknown key"


def test_nobody_gives_more_kinds_than_he_may_order_himself():
    village = Village()
    certify_anew(village, COMMUNE, PROVINCE, orders=("trust", "mute"))
    for orders, fate in (
        (msgspec.UNSET, "more than its parent may order"),
        (("mute", "voice"), "more than its parent may order"),
        (("mute",), "obeyed"),
    ):
        claim = Certificate("x", HAMLET.public_key, "hamlet", HERE, NORMAL, 1 << 39, orders=orders)
        content = msgspec.json.encode(claim)
        assert village.order(COMMUNE, Kind.CERTIFICATE, content) == fate
    assert village.order(HAMLET, Kind.MUTE, area=HERE) == "obeyed"
    certify_anew(village, COMMUNE, PROVINCE, orders=("trust", "voice"))
    assert village.order(HAMLET, Kind.MUTE, area=HERE) == "unknown key"


def test_a_key_of_some_kinds_ends_nothing_of_one_of_its_tier_that_may_all():
    village = Village()
    bridge = signer("bridge")
    claim = Certificate("b", bridge.public_key, "commune", AREA, PRIORITY, 1 << 39, orders=SOME)
    content = msgspec.json.encode(claim)
    assert village.order(PROVINCE, Kind.CERTIFICATE, content, area="vn/lang-son") == "obeyed"
    assert village.order(COMMUNE, Kind.VOLUME, b"volume = 30") == "obeyed"
    refused = village.order(bridge, Kind.VOLUME, SILENT)
    assert refused == "the plan in force is of a key that may order more"
    assert village.order(COMMUNE, Kind.VOLUME, b"volume = 40") == "obeyed"


@pytest.mark.parametrize("boots", [0, 1])
@pytest.mark.parametrize("ahead_s", [7 * 3600, 30 * 86_400])
def test_whatever_a_sealed_key_says_of_the_time_its_warning_is_over_in_half_an_hour(ahead_s, boots):
    village = Village()
    certify_anew(village, PROVINCE, ROOT, emergency=True)
    document = FLOOD.replace("2025-10-07", "2025-12-07").replace("T08:00:00", "T23:59:00")
    document = document.replace("<effective>2025-12-07T02", "<effective>2025-12-07T05")
    document = document.replace("Immediate", "Expected")
    more = {"message_class": URGENT, "late_s": -ahead_s}
    assert village.order(PROVINCE, Kind.CAP, document.encode(), **more) == "waiting"
    for _ in range(boots):
        village.boot()
    village.until("2025-12-07T05:00:10")
    assert playing(village) == []
    assert village.proofs()[-1]["ended_s"] <= utc_s("2025-12-07T02:31:00")
