"""Who may order what: forged, replayed, widened and stolen orders do nothing."""

import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.control.civil_time import Least
from node.control.precedence import MessageClass
from node.control.trust.authority import (
    AUTHORITIES_MAX,
    Authority,
    AuthorityBook,
    Certificate,
    Revocation,
    Warrant,
    within,
)
from node.control.trust.message import COMMAND_BYTES_MAX, Kind, Message, open_envelope, seal
from node.control.trust.once import KEYS_MAX, WINDOW, ReplayGuard
from node.control.trust.signature import SeedSigner, verified
from node.control.warning.alert import Alert
from node.control.warning.area import Circle, Site
from node.control.warning.short_alert import decode_short, encode_short

NORMAL, PRIORITY, URGENT = MessageClass
TIERS = ("national", "province", "commune", "hamlet")


def signer(name: str) -> SeedSigner:
    return SeedSigner(hashlib.sha256(name.encode()).digest())


ROOT = signer("root")


def order(
    by: SeedSigner,
    kind: Kind = Kind.MUTE,
    content: bytes = b"",
    *,
    area: str = "vn",
    message_class: MessageClass = NORMAL,
    counter: int = 1,
) -> bytes:
    message = Message(
        kind=kind,
        key_id=by.key_id,
        counter=counter,
        issued_s=1_790_000_000,
        ttl_s=600,
        message_class=message_class,
        area=area,
        content=content,
    )
    return seal(message, by)


def opened(data: bytes) -> Message:
    message = open_envelope(data)
    assert isinstance(message, Message), message
    return message


def authorise(book: AuthorityBook, message: Message, *, utc_s: int | None) -> Authority | str:
    """Return who ordered `message` if they may, or why not: as an order is judged."""
    signer = book.signer_of(message)
    if isinstance(signer, str):
        return signer
    warrant = Warrant(message.key_id, message.area)
    return book.may(warrant, message.message_class, Least.known(utc_s))


def certify(
    book: AuthorityBook,
    parent: SeedSigner,
    child: SeedSigner,
    tier: str,
    area: str,
    class_max: int = URGENT,
    until_s: int = 1 << 39,
) -> Authority | str:
    claim = Certificate("a", child.public_key, tier, area, class_max, until_s)
    data = order(parent, Kind.CERTIFICATE, msgspec.json.encode(claim), area="")
    return receive(book, data)


def receive(book: AuthorityBook, data: bytes) -> Authority | str:
    message = opened(data)
    authority = authorise(book, message, utc_s=None)
    if isinstance(authority, str):
        return authority
    return book.receive_certificate(authority, message.content)


def village() -> tuple[AuthorityBook, SeedSigner, SeedSigner]:
    book = AuthorityBook(ROOT.public_key, TIERS)
    province, commune = signer("province"), signer("commune")
    assert isinstance(certify(book, ROOT, province, "province", "vn/lang-son"), Authority)
    claim = Certificate(
        "c", commune.public_key, "commune", "vn/lang-son/huu-lien", PRIORITY, 1 << 39
    )
    data = order(province, Kind.CERTIFICATE, msgspec.json.encode(claim), area="vn/lang-son")
    assert isinstance(receive(book, data), Authority)
    return book, province, commune


def test_an_order_comes_out_as_it_went_in():
    data = order(ROOT, Kind.CAP, b"<alert/>", area="vn/lang-son", message_class=URGENT, counter=77)
    message = opened(data)
    assert (message.kind, message.content, message.area) == (Kind.CAP, b"<alert/>", "vn/lang-son")
    assert (message.counter, message.message_class, message.ttl_s) == (77, URGENT, 600)
    assert verified(ROOT.public_key, message.signature, message.signed)


def test_a_known_signature_is_the_one_of_the_standard():
    """RFC 8032, section 7.1, test 2."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = SeedSigner(seed)
    assert key.public_key.hex() == (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    )
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@settings(deadline=None)
@given(st.data())
def test_no_changed_byte_of_an_order_is_obeyed(data):
    book, _, commune = village()
    sealed = bytearray(order(commune, area="vn/lang-son/huu-lien", content=b"content"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    message = open_envelope(bytes(sealed))
    assert isinstance(message, str) or isinstance(authorise(book, message, utc_s=None), str)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 20))
def test_no_bytes_raise_and_none_is_obeyed(data, kind):
    book, _, _ = village()
    for attempt in (data, b"LL1" + bytes([kind]) + ROOT.key_id + data):
        message = open_envelope(attempt)
        assert isinstance(message, str) or authorise(book, message, utc_s=None) == "wrong signature"


def test_what_is_too_large_is_refused_before_anything_is_parsed():
    data = order(ROOT, Kind.MUTE, bytes(COMMAND_BYTES_MAX))
    assert open_envelope(data) == "too large"
    assert isinstance(open_envelope(order(ROOT, Kind.CAP, bytes(COMMAND_BYTES_MAX))), Message)


@pytest.mark.parametrize(
    ("area", "message_class", "why"),
    [
        ("vn/lang-son/huu-lien", PRIORITY, None),
        ("vn/lang-son/huu-lien/lang-coc", NORMAL, None),
        ("vn/lang-son/huu-lien-2", NORMAL, "outside its area"),
        ("vn/lang-son", NORMAL, "outside its area"),
        ("", NORMAL, "outside its area"),
        ("vn/lang-son/huu-lien//x", NORMAL, "outside its area"),
        ("vn/lang-son/huu-lien", URGENT, "above its class"),
    ],
)
def test_a_commune_orders_in_its_own_area_and_up_to_its_class(area, message_class, why):
    book, _, commune = village()
    answer = authorise(
        book, opened(order(commune, area=area, message_class=message_class)), utc_s=None
    )
    assert answer == why if why else isinstance(answer, Authority)


def test_a_certificate_ends_with_its_own_or_its_parents_time():
    book = AuthorityBook(ROOT.public_key, TIERS)
    province, commune = signer("province"), signer("commune")
    certify(book, ROOT, province, "province", "vn", until_s=1000)
    claim = Certificate("c", commune.public_key, "commune", "vn", URGENT, 5000)
    data = order(province, Kind.CERTIFICATE, msgspec.json.encode(claim), area="vn")
    assert isinstance(receive(book, data), Authority)
    message = opened(order(commune))
    assert isinstance(authorise(book, message, utc_s=999), Authority)
    assert authorise(book, message, utc_s=1000) == "the certificate has ended"


def test_a_stolen_key_is_revoked_with_all_that_it_certified():
    book, province, commune = village()
    hamlet = signer("hamlet")
    claim = Certificate("h", hamlet.public_key, "hamlet", "vn/lang-son/huu-lien/a", NORMAL, 1 << 39)
    data = order(commune, Kind.CERTIFICATE, msgspec.json.encode(claim), area="vn/lang-son/huu-lien")
    assert isinstance(receive(book, data), Authority)
    by_province = authorise(book, opened(order(province, area="vn/lang-son")), utc_s=None)
    assert isinstance(by_province, Authority)
    content = msgspec.json.encode(Revocation((commune.key_id, ROOT.key_id)))
    assert book.receive_revocation(by_province, content) == (commune.key_id,)
    for one in (commune, hamlet):
        message = opened(order(one, area="vn/lang-son/huu-lien/a"))
        assert authorise(book, message, utc_s=None) == "unknown key"
    certificate = Certificate("c", commune.public_key, "commune", "vn/lang-son/x", NORMAL, 1 << 39)
    data = order(province, Kind.CERTIFICATE, msgspec.json.encode(certificate), area="vn/lang-son")
    assert receive(book, data) == "revoked"


def test_nobody_revokes_who_is_not_below_them():
    book, province, commune = village()
    by_commune = authorise(book, opened(order(commune, area="vn/lang-son/huu-lien")), utc_s=None)
    assert isinstance(by_commune, Authority)
    content = msgspec.json.encode(Revocation((province.key_id, commune.key_id, ROOT.key_id)))
    assert book.receive_revocation(by_commune, content) == ()
    assert book.receive_revocation(by_commune, b"{") == "no revocation"


@pytest.mark.parametrize(
    ("tier", "area", "class_max", "why"),
    [
        ("hamlet", "vn/lang-son/huu-lien/a", NORMAL, None),
        ("hamlet", "vn/lang-son", NORMAL, "wider than its parent's area"),
        ("hamlet", "vn/lang-son/yen-son", NORMAL, "wider than its parent's area"),
        ("hamlet", "", NORMAL, "wider than its parent's area"),
        ("hamlet", "vn/lang-son/huu-lien/", NORMAL, "wider than its parent's area"),
        ("hamlet", "vn/lang-son/huu-lien", URGENT, "above its parent's class"),
        ("hamlet", "vn/lang-son/huu-lien", -1, "above its parent's class"),
        ("commune", "vn/lang-son/huu-lien", NORMAL, "not below its parent"),
        ("national", "vn/lang-son/huu-lien", NORMAL, "not below its parent"),
        ("district", "vn/lang-son/huu-lien", NORMAL, "no key or unknown tier"),
    ],
)
def test_a_child_widens_neither_area_nor_class_nor_tier(tier, area, class_max, why):
    book, _, commune = village()
    key = signer("hamlet").public_key
    claim = msgspec.json.encode(Certificate("h", key, tier, area, class_max, 1 << 39))
    answer = receive(book, order(commune, Kind.CERTIFICATE, claim, area="vn/lang-son/huu-lien"))
    assert answer == why if why else isinstance(answer, Authority)


def test_narrowing_a_parent_narrows_what_it_certified():
    book, province, commune = village()
    assert isinstance(certify(book, ROOT, province, "province", "vn/cao-bang"), Authority)
    message = opened(order(commune, area="vn/lang-son/huu-lien"))
    assert authorise(book, message, utc_s=None) == "unknown key"


AREAS = st.lists(st.sampled_from(["a", "b"]), max_size=3).map("/".join)
CLAIMS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 1, 2, 3, 4]),  # parent
        st.sampled_from([1, 2, 2, 3, 3, 4, 5, 0]),  # child
        st.sampled_from(TIERS),
        AREAS,
        st.integers(-1, 3),
    ),
    max_size=12,
)
ATTEMPTS = st.lists(
    st.tuples(st.integers(0, 5), AREAS, st.sampled_from(list(MessageClass))), max_size=8
)


@settings(deadline=None, max_examples=150)
@given(CLAIMS, ATTEMPTS)
def test_no_chain_of_certificates_reaches_further_than_each_of_its_links(claims, attempts):
    signers = [ROOT, *(signer(f"k{i}") for i in range(5))]
    book = AuthorityBook(ROOT.public_key, TIERS)
    given: dict[bytes, list[Authority]] = {}
    for parent, child, tier, area, class_max in claims:
        claim = Certificate("x", signers[child].public_key, tier, area, class_max, 1 << 39)
        message = opened(
            order(signers[parent], Kind.CERTIFICATE, msgspec.json.encode(claim), area="")
        )
        by = next(
            (
                a
                for a in [
                    authorise(book, opened(order(signers[parent], area=r)), utc_s=None)
                    for r in ("", "a", "b", "a/a", "a/b", "b/a", "b/b")
                ]
                if isinstance(a, Authority)
            ),
            None,
        )
        if by is None:
            continue
        answer = book.receive_certificate(by, message.content)
        if isinstance(answer, Authority):
            assert within(answer.area, by.area) and answer.class_max <= by.class_max
            assert answer.level > by.level and answer.key_id != ROOT.key_id
            given.setdefault(answer.key_id, []).append(answer)
    for index, area, message_class in attempts:
        message = opened(order(signers[index], area=area, message_class=message_class))
        answer = authorise(book, message, utc_s=None)
        if isinstance(answer, Authority) and index:
            # Some certificate that was really issued allows it, and so does every one above.
            latest = given[answer.key_id][-1]
            assert within(area, latest.area) and message_class <= latest.class_max
            while latest.parent != ROOT.key_id:
                latest = given[latest.parent][-1]
                assert within(area, latest.area) and message_class <= latest.class_max


def test_a_counter_acts_once_and_survives_a_power_cut():
    guard = ReplayGuard({})
    key = b"12345678"
    assert guard.refusal(key, 5) is None
    stored = dict(guard.advance(key, 5))
    for again in (ReplayGuard(stored), guard):
        assert again.refusal(key, 5) == "replayed"
        assert again.refusal(key, 4) is None and again.refusal(key, 1 << 63) is None
        assert again.refusal(b"another!", 5) is None
    broken = ReplayGuard(dict.fromkeys(stored, b"{broken"))
    assert broken.damaged == [key.hex()] and not guard.damaged


@given(st.lists(st.integers(0, 400), max_size=400))
def test_no_counter_is_accepted_twice_in_any_order_and_few_late_ones_are_lost(counters):
    guard, disk = ReplayGuard({}), {}
    accepted: list[int] = []
    for counter in counters:
        refusal = guard.refusal(b"k", counter)
        if counter in accepted:
            assert refusal is not None
        elif len([one for one in accepted if one > counter]) < WINDOW:
            assert refusal is None  # overtaken by fewer than the window holds
        if refusal is None:
            disk |= guard.advance(b"k", counter)
            guard = ReplayGuard(disk)
            accepted.append(counter)
    assert len(set(accepted)) == len(accepted)


def test_keys_that_lost_their_authority_leave_the_table_of_counters_and_no_other_does():
    guard = ReplayGuard({})
    known = [bytes([0, *divmod(n, 256)]) for n in range(AUTHORITIES_MAX)]
    for key in known:
        guard.advance(key, 7, known)
    for number in range(3 * KEYS_MAX):
        guard.advance(bytes([1, *divmod(number, 256)]), 7, known)
    assert all(guard.refusal(key, 7) == "replayed" for key in known)


HERE = Site(position=(21.65, 106.36))
PROVINCE = Authority(
    name="pctt@langson.gov.vn",
    key_id=b"12345678",
    public_key=b"",
    level=1,
    area="vn/lang-son",
    class_max=URGENT,
    until_s=1 << 39,
    parent=ROOT.key_id,
)


def short(content: bytes, message_class: MessageClass = URGENT) -> Alert | str:
    message = opened(
        order(ROOT, Kind.SHORT_ALERT, content, area="vn/lang-son", message_class=message_class)
    )
    return decode_short(message, PROVINCE, HERE, "province")


def test_a_warning_fits_into_170_signed_bytes():
    content = encode_short("alert", 7, event_code="FFW", circle=Circle((21.66, 106.37), 9500))
    assert len(order(ROOT, Kind.SHORT_ALERT, content, area="vn/lang-son/huu-lien")) <= 170
    alert = short(content)
    assert isinstance(alert, Alert)
    assert (alert.event_code, alert.message_class, alert.sender) == ("FFW", URGENT, PROVINCE.name)
    assert alert.expires_s - alert.sent_s == 3600


def test_a_short_alert_elsewhere_is_not_ours_and_an_update_elsewhere_ends_it():
    far = Circle((10.0, 106.0), 1000)
    assert short(encode_short("alert", 7, circle=far)) == "not for this place"
    ended = short(encode_short("update", 8, about=7, circle=far))
    assert isinstance(ended, Alert) and ended.kind == "leave"
    cancel = short(encode_short("cancel", 9, about=7))
    assert isinstance(cancel, Alert) and cancel.references == ((PROVINCE.name, f"#{7:016x}"),)


def test_a_short_exercise_is_marked_and_not_urgent():
    alert = short(encode_short("alert", 7, exercise=True))
    assert isinstance(alert, Alert) and alert.exercise and alert.message_class == PRIORITY


@given(st.binary(max_size=60))
def test_no_content_of_a_short_alert_raises(content):
    result = short(b"\1" + content)
    assert isinstance(result, str | Alert)
