"""A national emergency by two of three: too few act in nothing, who is revoked counts no more."""

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.orders import Session
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate, Together
from node.control.trust.fates import NOT_ITS_TO_END, TOO_FEW, remedy_of
from node.control.trust.message import COSIGNATURES_MAX, Kind, Message, cosign, open_envelope
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from tests.node.control.test_controller import (
    AREA,
    NORMAL,
    PRIORITY,
    PROVINCE,
    ROOT,
    THIEF,
    URGENT,
    Village,
    signer,
)
from tests.node.control.trust.test_rights import notes, playing, revoke

A, B, C = (signer(f"officer {one}") for one in "abc")
OFFICERS = (A, B, C)


def certify(village: Village, key: SeedSigner, most: int = URGENT, **more: object) -> str:
    asked = Together(2, tuple(one.key_id for one in OFFICERS), URGENT)
    claim = Certificate(
        "nation", key.public_key, "national", str(more.pop("area", "vn")), most,
        int(str(more.pop("until_s", 1 << 39))), together=asked,
        orders=("volume",) if more.pop("volumes", False) else msgspec.UNSET,
    )  # fmt: skip
    return village.order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim), area="")


def nation(wall: str = "2025-12-07T02:00:05") -> Village:
    village = Village(wall)
    for one in OFFICERS:
        assert certify(village, one) == "obeyed"
    return village


def alert(village: Village, number: int, *by: SeedSigner, most: int = URGENT) -> bytes:
    content = encode_short("alert", number, lasts_s=3600)
    sealed = village.sealed(by[0], Kind.SHORT_ALERT, content, message_class=MessageClass(most))
    for one in by[1:]:
        sealed = cosign(sealed, one)
    return sealed


def cancel(village: Village, about: int, *by: SeedSigner) -> str:
    content = encode_short("cancel", 10**6 + village.counter, about=about)
    sealed = village.sealed(by[0], Kind.SHORT_ALERT, content, message_class=URGENT)
    for one in by[1:]:
        sealed = cosign(sealed, one)
    return village.send(sealed)


def test_two_of_three_warn_together_and_one_alone_is_told_what_helps():
    village = nation()
    assert village.send(alert(village, 1, A)) == TOO_FEW
    assert "order cosign FILE --key KEY" in village.answers()[-1].remedy
    assert playing(village) == []
    assert village.send(alert(village, 2, B, C)) == "waiting"
    assert len(playing(village)) == 1


def test_the_same_order_acts_once_the_second_signature_is_there():
    village = nation()
    alone = alert(village, 1, A)
    assert village.send(alone) == TOO_FEW
    assert village.send(cosign(alone, B)) == "waiting"
    assert village.send(cosign(alone, C)) == "replayed"
    assert village.send(alone) == TOO_FEW


def test_one_alone_may_what_is_below_and_without_the_option_nothing_changes():
    village = nation()
    assert village.send(alert(village, 1, A, most=PRIORITY)) == "waiting"
    assert village.send(alert(village, 2, PROVINCE)) == "waiting"


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(("a", "b", "c", "unnamed", "stranger", "forged b", "forged c")),
        max_size=COSIGNATURES_MAX,
    ),
    st.sampled_from(("", "revoked b", "narrowed b", "ended b", "elsewhere b", "volumes b")),
)
@example(["b", "b"], "")
@example(["b"], "revoked b")
@example(["b"], "volumes b")
@example(["a"], "")
def test_each_signer_counts_once_and_only_for_what_it_may_itself(besides, lost):
    village = nation()
    if lost == "revoked b":
        assert revoke(village, B, ROOT) == "obeyed"
    elif lost == "narrowed b":
        certify(village, B, PRIORITY)
    elif lost == "ended b":
        certify(village, B, until_s=1)
    elif lost == "elsewhere b":
        certify(village, B, area="vn/elsewhere")
    elif lost == "volumes b":
        certify(village, B, volumes=True)
    keys = {"a": A, "b": B, "c": C, "unnamed": PROVINCE, "stranger": THIEF}
    sealed, good = alert(village, 1, A), set()
    for one in besides:
        forged = one.startswith("forged")
        name = one.removeprefix("forged ")
        if name == "a":
            with pytest.raises(ValueError, match="this key has signed it already"):
                cosign(sealed, A)
            continue
        sealed = cosign(sealed, Forger(keys[name]) if forged else keys[name])
        good.discard(name)
        good |= set() if forged else {name}
    enough = good & ({"b", "c"} - ({"b"} if lost else set()))
    assert village.send(sealed) == ("waiting" if enough else TOO_FEW)


class Forger(SeedSigner):
    """Signs in the name of another."""

    def __init__(self, named: SeedSigner) -> None:
        super().__init__(bytes(32))
        self.key_id = named.key_id


@pytest.mark.parametrize("boots", [0, 1])
def test_with_one_of_two_everything_ends_and_with_one_of_three_it_goes_on(boots):
    village = nation()
    assert village.send(alert(village, 1, A, B)) == "waiting"
    assert village.send(alert(village, 2, A, B, C)) == "waiting"
    for _ in range(boots):
        village.boot()
    assert len(playing(village)) == 2
    assert revoke(village, B, ROOT) == "obeyed"
    assert len(playing(village)) == 1
    assert revoke(village, C, ROOT) == "obeyed"
    assert playing(village) == []


@pytest.mark.parametrize("boots", [0, 1])
def test_what_two_have_begun_one_of_them_does_not_end(boots):
    village = nation()
    assert village.send(alert(village, 1, A, B)) == "waiting"
    session = msgspec.json.encode(Session(7))
    voice = village.sealed(A, Kind.SESSION, session, message_class=URGENT)
    assert village.send(cosign(voice, C)) == "obeyed"
    for _ in range(boots):
        village.boot()
    assert cancel(village, 1, A) == TOO_FEW
    below = encode_short("cancel", 77, about=1)
    assert village.order(A, Kind.SHORT_ALERT, below, message_class=PRIORITY) == NOT_ITS_TO_END
    if not boots:
        assert village.order(A, Kind.SESSION_END, session) == "the stream belongs to another"
    assert len(playing(village)) == 1
    assert cancel(village, 1, A, C) == "cancel"
    assert playing(village) == []


@given(st.sampled_from((URGENT, PRIORITY, NORMAL)), st.sampled_from((PRIORITY, NORMAL)))
def test_who_may_not_order_so_much_does_not_count_for_the_end_of_it(kind, most):
    village = nation()
    assert village.send(alert(village, 1, A, B)) == "waiting"
    assert certify(village, C, most) == "obeyed"
    content = encode_short("cancel", 77, about=1)
    sealed = village.sealed(A, Kind.SHORT_ALERT, content, message_class=kind)
    assert village.send(cosign(sealed, C)) in (TOO_FEW, NOT_ITS_TO_END)
    assert len(playing(village)) == 1
    assert cancel(village, 1, A, B) == "cancel"


def test_one_alone_takes_no_number_before_two_say_it():
    village = nation()
    assert village.send(alert(village, 1, A, most=PRIORITY)) == "waiting"
    below = encode_short("cancel", 77, about=2)
    assert village.order(A, Kind.SHORT_ALERT, below, message_class=PRIORITY) != "cancel"
    for number in (1, 2):
        assert village.send(alert(village, number, A, B)) == "waiting"


@pytest.mark.parametrize("most", [PRIORITY, NORMAL])
def test_with_one_who_may_not_order_so_much_it_is_still_one_alone(most):
    village = nation()
    assert certify(village, C, most) == "obeyed"
    assert village.send(alert(village, 1, A, C, most=PRIORITY)) == "waiting"
    below = encode_short("cancel", 77, about=2)
    sealed = village.sealed(A, Kind.SHORT_ALERT, below, message_class=PRIORITY)
    assert village.send(cosign(sealed, C)) != "cancel"
    for number in (1, 2):
        assert village.send(alert(village, number, A, B)) == "waiting"


@pytest.mark.parametrize("boots", [0, 1])
def test_one_alone_certifies_nobody_for_it_and_a_certificate_of_two_ends_with_one(boots):
    village = nation()
    below = signer("below")
    claim = Certificate("x", below.public_key, "province", "vn/lang-son", URGENT, 1 << 39)
    content = msgspec.json.encode(claim)
    alone = village.sealed(A, Kind.CERTIFICATE, content, area="vn")
    assert village.send(alone) == TOO_FEW
    assert village.send(alert(village, 1, below)) == "unknown key"
    assert village.send(cosign(alone, B)) == "obeyed"
    for _ in range(boots):
        village.boot()
    assert village.send(alert(village, 2, below)) == "waiting"
    assert revoke(village, B, ROOT) == "obeyed"
    assert playing(village) == []
    assert village.send(alert(village, 3, below)) == "unknown key"
    for _ in range(boots):
        village.boot()
    assert village.send(alert(village, 4, below)) == "unknown key"


def test_a_calendar_of_one_alone_has_nothing_urgent():
    village = nation()
    item = (
        '[[items]]\nname = "x"\nstart = "05:30"\nmessage_class = "urgent"\nlevel = "national"\n'
        f'parts = [{{ kind = "file", duration_s = 60, media = {{ vi = "{"c" * 64}" }} }}]\n'
    )
    alone = village.sealed(A, Kind.CALENDAR, item.encode(), area=AREA)
    assert village.send(alone).startswith("above its class")
    assert village.send(cosign(alone, B)) == "obeyed", "the refused one has used up nothing"
    assert village.order(A, Kind.CALENDAR, b"").startswith("the plan in force")


@pytest.mark.parametrize(
    "asked",
    [
        Together(1, (B.key_id,), URGENT),
        Together(3, (B.key_id,), URGENT),
        Together(2, (A.key_id,), URGENT),
        Together(2, (b"short",), URGENT),
        Together(2, (B.key_id,), NORMAL),
        Together(2, tuple(bytes([n] * 8) for n in range(9)), URGENT),
    ],
)
def test_a_certificate_that_asks_for_what_nobody_can_give_is_refused(asked):
    village = Village()
    claim = Certificate("x", A.public_key, "national", "vn", URGENT, 1 << 39, together=asked)
    fate = village.order(ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim), area="")
    assert fate == "asks for signatures that nobody can give" and remedy_of(fate)


@given(st.binary(max_size=800), st.integers(0, 900))
def test_no_bytes_before_an_order_raise_and_every_cut_is_refused(junk, cut):
    village = nation_once()
    opened = open_envelope(b"LL2" + junk)
    assert isinstance(opened, str | Message)
    sealed = cosign(cosign(alert(village, 1, A), B), C)
    assert isinstance(open_envelope(sealed), Message)
    short = sealed[: min(cut, len(sealed) - 1)]
    assert isinstance(open_envelope(short), str) or village.send(short) not in ("waiting",)


_ONCE: list[Village] = []


def nation_once() -> Village:
    if not _ONCE:
        _ONCE.append(nation())
    return _ONCE[0]


def test_no_more_sign_than_there_is_room_for():
    village = nation()
    sealed = alert(village, 1, A)
    for number in range(COSIGNATURES_MAX):
        sealed = cosign(sealed, signer(f"more {number}"))
    with pytest.raises(ValueError, match="7 keys have signed it besides the first"):
        cosign(sealed, B)
    assert village.send(sealed) == TOO_FEW
    assert notes(village)
