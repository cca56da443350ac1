"""One root follows another: only the promised one, in any order of arrival, and it wakes nobody."""

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.trust.authority import Certificate, Revocation
from node.control.trust.fates import BY_NEWER_ROOT, remedy_of
from node.control.trust.message import Kind, cosign
from node.control.trust.roots import (
    NOT_BY_NEXT,
    NOT_PROMISED,
    NOT_THE_NEWEST,
    ROOT_PREFIX,
    RootChange,
    digest_of,
)
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from node.events import Persist
from node.units import NS_PER_S
from tests.node.control.test_controller import (
    COMMUNE,
    PRIORITY,
    PROVINCE,
    ROOT,
    THIEF,
    URGENT,
    Village,
    signer,
)
from tests.node.control.trust.test_rights import playing

SECOND, THIRD = signer("root 2"), signer("root 3")
OVERLAP_S = 1000


def village_of(*, promised: SeedSigner | None = SECOND, **more: object) -> Village:
    promise = "" if promised is None else digest_of(promised.public_key).hex()
    return Village(next_root=promise, **more)


def now_s(village: Village) -> int:
    return (village.now_ns + village.offset_ns) // NS_PER_S


def change(
    village: Village,
    by: SeedSigner = ROOT,
    following: SeedSigner = SECOND,
    *,
    number: int = 1,
    signed: bool = True,
    lasts_s: int = OVERLAP_S,
    then: SeedSigner = THIRD,
) -> bytes:
    said = RootChange(
        number, by.public_key, following.public_key, now_s(village), now_s(village) + lasts_s,
        digest_of(then.public_key),
    )  # fmt: skip
    sealed = village.sealed(by, Kind.ROOT, msgspec.json.encode(said), area="")
    return cosign(sealed, following) if signed else sealed


def certify(village: Village, by: SeedSigner, key: SeedSigner, tier: str = "province") -> str:
    claim = Certificate("x", key.public_key, tier, "vn/lang-son", URGENT, 1 << 39)
    return village.order(by, Kind.CERTIFICATE, msgspec.json.encode(claim), area="")


def warn(village: Village, by: SeedSigner) -> str:
    content = encode_short("alert", 10**4 + village.counter, lasts_s=86_400)
    return village.order(by, Kind.SHORT_ALERT, content, message_class=URGENT)


def revoke(village: Village, by: SeedSigner, *keys: SeedSigner, number: int = 0) -> str:
    content = msgspec.json.encode(Revocation(tuple(one.key_id for one in keys), number))
    return village.order(by, Kind.REVOCATION, content, area="")


def wait(village: Village, seconds: int) -> None:
    village.now_ns += seconds * NS_PER_S
    village.node.handle_deadline(village.now_ns)
    village.take()


@pytest.mark.parametrize("boots", [0, 1])
def test_in_the_overlap_both_hold_and_then_what_the_first_alone_certified_ends_at_once(boots):
    village = village_of()
    assert village.send(change(village)) == "obeyed"
    other = signer("certified by the first alone")
    assert certify(village, ROOT, other) == certify(village, SECOND, PROVINCE) == "obeyed"
    for _ in range(boots):
        village.boot()
    assert warn(village, PROVINCE) == warn(village, other) == warn(village, ROOT) == "waiting"
    assert len(playing(village)) == 3
    wait(village, OVERLAP_S + 1)
    assert len(playing(village)) == 1, "in the same second"
    assert warn(village, other) == warn(village, ROOT) == "the certificate has ended"
    assert warn(village, PROVINCE) == warn(village, SECOND) == "waiting"
    for _ in range(boots):
        village.boot()
    assert warn(village, other) == "the certificate has ended"
    assert warn(village, PROVINCE) == "waiting"


def test_a_stolen_root_names_no_successor():
    village = village_of()
    for sealed, why in (
        (change(village, following=THIEF, then=THIEF), NOT_PROMISED),
        (change(village, following=SECOND, signed=False), NOT_BY_NEXT),
        (cosign(change(village, signed=False), THIEF), NOT_BY_NEXT),
        (change(village, THIEF, ROOT), "unknown key"),
        (change(village, following=ROOT, signed=False), "no change of roots"),
    ):
        assert village.send(sealed) == why and remedy_of(why)
    assert warn(village, SECOND) == "unknown key"
    without = village_of(promised=None)
    assert without.send(change(without)) == NOT_PROMISED


def test_the_next_after_the_next_is_the_one_that_was_promised_with_it():
    village = village_of()
    second = change(village, SECOND, THIRD, number=2)
    assert village.send(second) == "unknown key"
    assert village.send(change(village)) == "obeyed"
    assert village.send(change(village, ROOT, THIRD, number=3)) == NOT_PROMISED
    assert village.send(change(village, SECOND, THIEF, number=2)) == NOT_PROMISED
    assert village.send(change(village, SECOND, THIRD, number=1)) == NOT_THE_NEWEST
    assert village.send(second) == "obeyed"
    village.boot()
    assert village.node.status(village.now_ns).get("root_number", 0) == 2
    assert warn(village, THIRD) == "waiting"


def test_a_node_that_was_off_for_the_whole_overlap_follows():
    village = village_of()
    sealed = change(village)
    wait(village, 400 * 86_400)
    assert village.send(sealed) == "obeyed"
    assert warn(village, PROVINCE) == "the certificate has ended"
    assert certify(village, SECOND, PROVINCE) == "obeyed"
    assert warn(village, PROVINCE) == "waiting"
    assert village.send(sealed) == "obeyed", "however often it comes"


@pytest.mark.parametrize("boots", [0, 1])
def test_a_later_statement_about_the_same_root_holds_in_any_order(boots):
    village = village_of()
    long, short = change(village, lasts_s=5000), change(village, lasts_s=100)
    for sealed in (short, long):
        assert village.send(sealed) == "obeyed"
        for _ in range(boots):
            village.boot()
    wait(village, 101)
    assert warn(village, ROOT) == "the certificate has ended"


@pytest.mark.parametrize("boots", [0, 1])
def test_no_revoked_key_is_woken_by_another_root_and_the_next_takes_back_what_the_first_gave(boots):
    village = village_of()
    dead = signer("dead")
    assert certify(village, ROOT, dead) == revoke(village, ROOT, dead, number=1) == "obeyed"
    assert village.send(change(village)) == "obeyed"
    assert certify(village, SECOND, dead) == "revoked"
    assert warn(village, PROVINCE) == "waiting"
    assert revoke(village, SECOND, ROOT) == "obeyed", (
        "the first is believed no more, before its end"
    )
    assert playing(village) == []
    for _ in range(boots):
        village.boot()
    assert warn(village, ROOT) == warn(village, PROVINCE) == "unknown key"
    assert certify(village, SECOND, dead) == "revoked", "what it took back stays taken back"
    assert village.send(change(village, lasts_s=10**6)) == "obeyed"
    assert warn(village, ROOT) == "unknown key"


def test_the_first_root_revokes_and_certifies_none_that_follows():
    village = village_of()
    assert certify(village, ROOT, SECOND) == "the key of a root"
    assert revoke(village, ROOT, SECOND, THIRD, number=1) == "obeyed"
    assert village.send(change(village)) == "obeyed"
    assert revoke(village, ROOT, SECOND, THIRD, number=2) == "obeyed"
    assert village.send(change(village, SECOND, THIRD, number=2)) == "obeyed"
    assert warn(village, SECOND) == warn(village, THIRD) == "waiting"
    village.boot()
    assert warn(village, SECOND) == warn(village, THIRD) == "waiting"


def test_an_authority_keeps_its_counters_and_what_it_ordered_when_the_next_root_certifies_it():
    village = village_of()
    assert village.send(change(village)) == "obeyed"
    once = village.sealed(PROVINCE, Kind.MUTE)
    assert village.send(once) == "obeyed"
    assert certify(village, SECOND, PROVINCE) == "obeyed"
    assert village.node.status(village.now_ns)["muted_by"] == "x"
    assert village.send(once) == "replayed"
    assert certify(village, ROOT, PROVINCE) == BY_NEWER_ROOT, "the newer root has the say"
    assert village.certify(PROVINCE, COMMUNE, "commune", "vn/lang-son/huu-lien", PRIORITY) == (
        "obeyed"
    )


def test_the_next_root_signs_nothing_before_it_holds():
    village = village_of()
    early = village.sealed(SECOND, Kind.MUTE, late_s=500)
    assert village.send(change(village)) == "obeyed"
    assert village.send(early) == "its root holds only later"


STEPS = st.lists(
    st.sampled_from(("change", "again", "by second", "by first", "revoke", "warn", "second")),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60)
@given(STEPS, st.integers(0, 30))
@example(["change", "by second", "revoke"], 2)
def test_wherever_the_power_is_cut_the_node_is_as_before_or_after_the_write(steps, at):
    village = village_of()
    disks = [dict(village.disk)]
    village.events.clear()
    for step in steps:
        if step in ("change", "again"):
            village.send(change(village))
        elif step == "second":
            village.send(change(village, SECOND, THIRD, number=2))
        elif step == "revoke":
            revoke(village, SECOND, ROOT)
        elif step == "warn":
            warn(village, PROVINCE)
        else:
            certify(village, SECOND if step == "by second" else ROOT, PROVINCE)
        disks.append(dict(village.disk))
        written = [e for e in village.events if isinstance(e, Persist)]
        assert sum(e.key.startswith(ROOT_PREFIX) for e in written) <= 1, "one write each"
        village.events.clear()
    village.disk = dict(disks[min(at, len(disks) - 1)])
    known = sum(key.startswith(ROOT_PREFIX) for key in village.disk)
    village.boot()
    assert village.node.status(village.now_ns).get("root_number", 0) == known
    fate = warn(village, SECOND)
    assert fate == ("waiting" if known else "unknown key")
    assert warn(village, ROOT) in ("waiting", "unknown key")


ACTS = ("1 to 2", "2 to 3", "3 revokes 1", "3 revokes 2", "2 revokes 1", "boot", "1 certifies 2")


@given(st.lists(st.sampled_from(ACTS), max_size=9))
@example(["1 to 2", "2 to 3", "3 revokes 2", "1 to 2"])
@example(["1 to 2", "2 to 3", "3 revokes 1", "1 to 2", "boot"])
@example(["1 to 2", "2 revokes 1", "1 to 2"])
def test_no_statement_about_roots_wakes_one_that_was_taken_back(acts):
    village = village_of()
    taken: set[bytes] = set()
    for act in acts:
        if act == "1 to 2":
            village.send(change(village))
        elif act == "2 to 3":
            village.send(change(village, SECOND, THIRD, number=2, then=THIEF))
        elif act == "boot":
            village.boot()
        elif act == "1 certifies 2":
            certify(village, ROOT, SECOND)
        else:
            by = THIRD if act.startswith("3") else SECOND
            one = ROOT if act.endswith("1") else SECOND
            if revoke(village, by, one) == "obeyed":
                taken.add(one.key_id)
        for one in (ROOT, SECOND):
            if one.key_id in taken:
                assert warn(village, one) != "waiting", (act, acts)
