"""A refused order uses up nothing of the genuine one's: mended, the same order acts, once.

Only what a refusal leaves behind is used up with it: a warning that is on record as refused, and an
end that ended something; and a self-test that came at a bad moment (test_self_tests.py). All else
may come again under its counter, and acts when what it lacked is there: more signatures, a wider
certificate, the time, a place.
"""

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.mute import MUTED_FROM_ABOVE
from node.control.orders import Session
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate
from node.control.trust.fates import NOT_ITS_TO_END, NOTHING_IN_FORCE, is_good
from node.control.trust.gatekeeper import FLOOR_KEY
from node.control.trust.message import Kind, cosign
from node.control.trust.revocations import Revocation
from node.control.warning.short_alert import encode_short
from tests.node.control.test_controller import (
    AREA,
    COMMUNE,
    NORMAL,
    PRIORITY,
    PROVINCE,
    ROOT,
    THIEF,
    URGENT,
    Village,
    signer,
)
from tests.node.control.trust.test_several import A, B, C, nation

CHILD = signer("a child")


def calendar(kind: str = "urgent", level: str = "national") -> bytes:
    return f"""
[[items]]
name = "x"
message_class = "{kind}"
level = "{level}"
start = "06:00"
parts = [{{ kind = "file", duration_s = 60, media = {{ vi = "{"c" * 64}" }} }}]
""".encode()


def session(ssrc: int = 7, **more: object) -> bytes:
    return msgspec.json.encode(Session(ssrc, public_key=b"p" * 32, **more))


def certificate(key=CHILD, tier: str = "province", most: int = URGENT, area: str = "vn") -> bytes:
    claim = Certificate("c", key.public_key, tier, area, MessageClass(most), 1 << 39)
    return msgspec.json.encode(claim)


def warning(number: int = 5) -> bytes:
    return encode_short("alert", number, lasts_s=3600)


KINDS = {
    "calendar": (Kind.CALENDAR, calendar, NORMAL),
    "certificate": (Kind.CERTIFICATE, certificate, NORMAL),
    "warning": (Kind.SHORT_ALERT, warning, URGENT),
    "session": (Kind.SESSION, session, URGENT),
    "mute": (Kind.MUTE, bytes, URGENT),
    "unmute": (Kind.UNMUTE, bytes, URGENT),
    "volume": (Kind.VOLUME, lambda: b"volume = 20\n", URGENT),
    "end of a session": (Kind.SESSION_END, session, URGENT),
    "a revocation": (Kind.REVOCATION, lambda: msgspec.json.encode(Revocation((b"k" * 8,))), URGENT),
    "a beacon": (Kind.BEACON, bytes, URGENT),
}
"""Each kind with a class that officers give only together: in the envelope, or inside."""


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("boots", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_an_order_with_too_few_signatures_acts_with_enough_under_the_same_counter(
    kind, boots, times
):
    village = nation()
    what, content, envelope = KINDS[kind]
    alone = village.sealed(A, what, content(), message_class=MessageClass(envelope), area="vn")
    for _ in range(times):
        refused = village.send(alone)
        assert not is_good(refused), refused
        for _ in range(boots):
            village.boot()
    both = cosign(alone, B)
    fate = village.send(both)
    assert is_good(fate), (refused, fate)
    for _ in range(boots):
        village.boot()
    assert village.send(both) == village.send(cosign(alone, C)) == "replayed"


def widened(village: Village) -> None:
    village.certify(PROVINCE, COMMUNE, "commune", AREA, URGENT)


def heightened(village: Village) -> None:
    village.certify(ROOT, PROVINCE, "national", "vn/lang-son", URGENT)


def given_back(village: Village) -> None:
    assert village.order(PROVINCE, Kind.UNMUTE) == "obeyed"


def told_the_time(village: Village) -> None:
    village.read_clock()


LACKS = {
    "a class inside": (
        COMMUNE, Kind.CALENDAR, calendar("urgent", "commune"), "above its class", widened,
    ),
    "a class in a child": (
        COMMUNE, Kind.CERTIFICATE, certificate(tier="hamlet", area=AREA),
        "above its parent's class", widened,
    ),
    "a tier": (
        PROVINCE, Kind.CERTIFICATE, certificate(most=NORMAL, area=AREA),
        "not below its parent", heightened,
    ),
    "the time": (
        COMMUNE, Kind.MUTE, b"", "not urgent while the time is not known", told_the_time,
    ),
    "a place": (COMMUNE, Kind.SESSION, session(), "too many sessions", given_back),
}  # fmt: skip
"""Who orders what, why it is refused, and what is done then."""


@pytest.mark.parametrize("boots", [0, 1])
@pytest.mark.parametrize("name", LACKS)
def test_what_an_order_lacked_may_come_later(name, boots):
    by, kind, content, why, mended = LACKS[name]
    village = Village(trusted=name != "the time")
    if name == "a place":
        village.node.sessions = Full(village.node.sessions)
    order = village.sealed(by, kind, content)
    for _ in range(2):
        assert village.send(order).startswith(why)
    if name == "a place":
        village.node.sessions = village.node.sessions.real
    for _ in range(boots):
        village.boot(trusted=name != "the time")
    mended(village)
    assert village.send(order) == "obeyed"
    assert village.send(order) == "replayed"


class Full:
    """Sessions of which no more are taken."""

    def __init__(self, real: object) -> None:
        self.real = real

    def receive_order(self, *_: object) -> str:
        return "too many sessions"

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def test_a_stream_that_is_refused_for_want_of_a_place_ends_none_that_has_its_number():
    village = Village()
    widened(village)
    for number in range(40):
        village.order(PROVINCE, Kind.SESSION, session(100 + number))
    assert village.order(COMMUNE, Kind.SESSION, session(7)) == "obeyed"
    names = village.node.sessions.names()
    fate = village.order(PROVINCE, Kind.SESSION, session(7))
    assert fate == "too many sessions", "its key has as many as it may"
    assert village.node.sessions.names() == names


CONTENTS = [
    b"",
    b"nonsense",
    calendar(),
    calendar("normal", "commune"),
    b"volume = 20\n",
    session(),
    session(0xFFFF0001),
    warning(),
    encode_short("cancel", 9, about=5),
    certificate(),
    certificate(tier="hamlet", most=NORMAL, area=AREA),
    certificate(THIEF, "commune", area=AREA),
    msgspec.json.encode(Revocation((COMMUNE.key_id,))),
]
orders = st.tuples(
    st.sampled_from([ROOT, PROVINCE, COMMUNE, THIEF, A, B]),
    st.sampled_from(sorted(Kind)),
    st.sampled_from(CONTENTS),
    st.sampled_from([NORMAL, PRIORITY, URGENT]),
    st.sampled_from(["vn", "vn/lang-son", AREA, f"{AREA}/coc-1", "vn/elsewhere"]),
    st.sampled_from([(), (B,), (C,)]),
)
ON_RECORD = {
    NOTHING_IN_FORCE,
    NOT_ITS_TO_END,
    "expired",
    "no stored sound for it",
    "not urgent while the time is not known",
    "too many warnings at once",
}
"""Fates of warnings that are in the proof, or known, though they do not sound."""

WARNINGS = {Kind.CAP, Kind.SHORT_ALERT}


@settings(max_examples=150, deadline=None)
@given(st.lists(orders, min_size=1, max_size=12), st.booleans())
@example(
    [(PROVINCE, Kind.MUTE, b"", NORMAL, AREA, ()), (COMMUNE, Kind.UNMUTE, b"", NORMAL, AREA, ())],
    True,
)
@example([(PROVINCE, Kind.SHORT_ALERT, warning(), NORMAL, AREA, ())] * 2, True)
def test_a_counter_is_used_up_by_what_leaves_something_behind_and_by_nothing_else(given_, trusted):
    village = nation()
    village.boot(trusted=trusted)
    for by, kind, content, most, area, besides in given_:
        sealed = village.sealed(by, kind, content, message_class=MessageClass(most), area=area)
        for one in besides:
            sealed = sealed if one.key_id == by.key_id else cosign(sealed, one)
        before = dict(village.disk)
        fate = village.send(sealed)
        changed = {k for k in before.keys() | village.disk if before.get(k) != village.disk.get(k)}
        used = {one for one in changed if one.startswith("counters/")}
        on_record = kind in WARNINGS and fate in ON_RECORD and "alerts" in changed
        acted = is_good(fate) or on_record or fate == MUTED_FROM_ABOVE
        assert bool(used) == acted, (kind, fate, changed)
        if not acted:
            assert changed <= {FLOOR_KEY}, (kind, fate, changed)
