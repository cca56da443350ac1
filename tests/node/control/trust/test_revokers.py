"""Whose revocations a node keeps: so many and no more, and no revoked key ever comes back."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.control.trust import revocations
from node.control.trust.authority import Certificate, Revocation
from node.control.trust.message import Kind
from node.control.trust.revocations import EACH_TIER_MAX, NO_PLACE, TIER_MAX
from node.control.trust.signature import SeedSigner
from node.events import Note
from tests.node.control.test_controller import (
    AREA,
    COMMUNE,
    NORMAL,
    PROVINCE,
    ROOT,
    Village,
    signer,
)

PROVINCES = [signer(f"province {n}") for n in range(4)]
COMMUNES = [signer(f"commune {n}") for n in range(6)]
HAMLETS = [signer(f"hamlet {n}") for n in range(3)]
EVERY = [*PROVINCES, *COMMUNES, *HAMLETS]
TIER = {
    one.key_id: tier
    for tier, keys in (("province", PROVINCES), ("commune", COMMUNES), ("hamlet", HAMLETS))
    for one in keys
}


def certify(village: Village, by: SeedSigner, key: SeedSigner, tier: str = "commune") -> str:
    village.now_ns += 60 * 10**9  # within the rate of each key
    claim = Certificate("x", key.public_key, tier, AREA, NORMAL, 1 << 39)
    return village.order(by, Kind.CERTIFICATE, msgspec.json.encode(claim), area=AREA)


def revoke(village: Village, by: SeedSigner, *keys: SeedSigner, number: int = 0) -> str:
    village.now_ns += 60 * 10**9
    content = msgspec.json.encode(Revocation(tuple(one.key_id for one in keys), number))
    return village.order(by, Kind.REVOCATION, content, area=AREA)


def kept(village: Village) -> set[str]:
    """Return whose revocations are on the disk, in hexadecimal."""
    names = [one for one in village.disk if one.startswith("revocation/")]
    return {one.removeprefix("revocation/").partition("-")[0] for one in names}


def flood(village: Village, thief: SeedSigner, count: int, first: int = 0) -> list[str]:
    """Let `thief` make keys, each of them revoke one, and be taken back without a trace."""
    fates = []
    for number in range(first, first + count):
        name = f"{thief.key_id.hex()} {number}"
        child = signer(name)
        assert certify(village, thief, child) == "obeyed"
        fates.append(revoke(village, child, signer(f"lost {name}")))
        for tier in ("hamlet", "commune"):  # nobody below it is known any more, and it has no work
            certify(village, thief, child, tier)
    return fates


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["certify", "certify", "revoke", "revoke", "list", "boot"]),
            st.integers(0, len(EVERY)),
            st.integers(0, len(EVERY) - 1),
        ),
        min_size=20,
        max_size=60,
    ),
    st.booleans(),
)
@settings(max_examples=40)
def test_places_are_bounded_and_what_is_revoked_comes_back_by_nobody(steps, boots):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(revocations, "TIER_MAX", 3)
        patch.setattr(revocations, "EACH_TIER_MAX", 2)
        village = Village()
        for one in PROVINCES:
            certify(village, ROOT, one, "province")
        said: dict[bytes, set[bytes]] = {}
        for what, by, about in steps:
            issuer, key = [*EVERY, ROOT][by], EVERY[about]
            if what == "boot":
                village.boot()
            elif what == "certify":
                certify(village, issuer, key, TIER[key.key_id])
            else:
                fate = revoke(village, issuer, key, number=int(what == "list"))
                if fate == "obeyed" and key is not issuer:
                    said.setdefault(issuer.key_id, set()).add(key.key_id)
                assert fate != NO_PLACE or issuer is not ROOT
            for tier in ("province", "commune", "hamlet"):
                of_it = {one.key_id.hex() for one in EVERY if TIER[one.key_id] == tier}
                assert len(kept(village) & of_it) <= 3
        if boots:
            village.boot()
        for issuer in [ROOT, *EVERY]:
            revoked = said.get(issuer.key_id, set())
            back = "" if issuer is ROOT else certify(village, ROOT, issuer, TIER[issuer.key_id])
            if back == "revoked":
                continue
            for key in EVERY:
                if key.key_id in revoked:
                    assert certify(village, issuer, key, "hamlet") in (
                        "revoked",
                        "not below its parent",
                    )


def test_who_makes_keys_and_takes_them_back_fills_its_own_places_and_no_others():
    village = Village()
    heirs = [signer(f"province after {n}") for n in range(TIER_MAX // EACH_TIER_MAX)]
    for heir in heirs:
        assert certify(village, ROOT, heir, "province") == "obeyed"
    revoke(village, COMMUNE, signer("lost before"))
    fates = flood(village, PROVINCE, EACH_TIER_MAX + 3)
    assert fates == ["obeyed"] * (EACH_TIER_MAX - 1) + [NO_PLACE] * 4
    refused = [one for one in village.answers() if one.fate == NO_PLACE]
    assert len(refused) == 4 and "let an authority above revoke the key" in refused[0].remedy
    told = [event.text for event in village.events if isinstance(event, Note)]
    assert sum(NO_PLACE in one for one in told) == 4
    assert revoke(village, COMMUNE, signer("lost again")) == "obeyed", "it has its place"
    assert revoke(village, PROVINCE, signer("lost by who stands above")) == "obeyed"
    before = len(kept(village))
    for again in range(3):  # after each power cut those that nobody knows now are counted too
        village.boot()
        assert flood(village, PROVINCE, 2, first=100 * (again + 1)) == [NO_PLACE] * 2
    assert len(kept(village)) == before
    for heir in heirs:
        assert "obeyed" in flood(village, heir, 1)


def test_whose_key_the_root_took_back_makes_room_for_others_and_leaves_nothing_on_the_disk():
    village = Village()
    flood(village, PROVINCE, EACH_TIER_MAX)
    revoke(village, signer(f"{PROVINCE.key_id.hex()} 0"), signer("one more"))
    assert revoke(village, COMMUNE, signer("lost")) == NO_PLACE
    first = signer(f"{PROVINCE.key_id.hex()} 0")
    assert revoke(village, ROOT, first) == "obeyed"
    assert first.key_id.hex() in kept(village), "it stays while nobody needs its place"
    assert revoke(village, COMMUNE, signer("lost")) == "obeyed"
    assert not [name for name in village.disk if first.key_id.hex() in name and "revo" in name]
    village.boot()
    assert certify(village, PROVINCE, first) == "revoked"
    assert certify(village, COMMUNE, signer("lost"), "hamlet") == "revoked"


def test_what_was_kept_before_places_were_counted_holds_however_much_it_is():
    village = Village()
    flood(village, PROVINCE, EACH_TIER_MAX)
    for name in [one for one in village.disk if one.startswith("revoker/")]:
        village.disk[name] = b"{"
    village.boot()
    assert revoke(village, COMMUNE, signer("lost")) == "obeyed"
    village.boot()
    for number in range(EACH_TIER_MAX):
        name = f"{PROVINCE.key_id.hex()} {number}"
        assert certify(village, PROVINCE, signer(name)) == "obeyed"
        assert certify(village, signer(name), signer(f"lost {name}"), "hamlet") == "revoked"


@pytest.mark.parametrize("number", [0, 7])
def test_a_list_of_nothing_takes_no_place_or_a_place_as_any_other(number):
    village = Village()
    for one in range(EACH_TIER_MAX + 2):
        child = signer(f"child {one}")
        certify(village, PROVINCE, child)
        revoke(village, child, number=number)
    assert len(kept(village)) == (EACH_TIER_MAX if number else 0)
