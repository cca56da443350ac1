"""Commands beside the node judge dates as the node does: by the floor, unless the clock is good."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.config import NodeConfig
from node.control.precedence import MessageClass
from node.control.settings import ControlConfig
from node.control.trust.certificate import Certificate
from node.control.trust.gatekeeper import FLOOR_KEY
from node.control.trust.message import Kind, Message, cosign, seal
from node.control.trust.roots import RootChange, digest_of
from node.control.trust.signature import SeedSigner
from node.shell.enrol.known_time import clock_of, known_by
from node.shell.enrol.papers import Grant, seal_paper
from node.shell.enrol.refresh import newer_grant
from node.shell.machine import RealMachine, running_on
from node.units import NS_PER_S

ROOT, NEXT, COMMUNE, NODE = (SeedSigner(bytes([number]) * 32) for number in range(1, 5))
AREA = "vn/lang-son/huu-lien"
BUILD_S = 1_764_547_200
DAY_S = 86_400
times_s = st.integers(0, 4_000_000_000)


class Showing(RealMachine):
    """A machine whose civil clock stands at `utc_s`."""

    def __init__(self, utc_s: int, *, is_synchronised: bool) -> None:
        self._utc_s, self._is_synchronised = utc_s, is_synchronised

    def now_ns(self) -> int:
        return 5 * NS_PER_S

    def utc_ns(self) -> int:
        return self._utc_s * NS_PER_S

    def clock_synchronised(self) -> bool:
        return self._is_synchronised


def control(**more: str) -> ControlConfig:
    return ControlConfig(root_public_key=ROOT.public_key.hex(), area=f"{AREA}/coc-1", **more)


def floor(utc_s: int) -> dict[str, bytes]:
    return {FLOOR_KEY: msgspec.json.encode({"0": utc_s})}


def order(kind: Kind, content: bytes, *by: SeedSigner, issued_s: int = BUILD_S) -> bytes:
    message = Message(
        kind=kind,
        key_id=b"",
        counter=issued_s,
        issued_s=issued_s,
        ttl_s=DAY_S,
        message_class=MessageClass.NORMAL,
        area=AREA,
        content=content,
    )
    sealed = seal(message, by[0])
    for one in by[1:]:
        sealed = cosign(sealed, one)
    return sealed


def certificate(by: SeedSigner, until_s: int, *, issued_s: int = BUILD_S) -> bytes:
    claim = Certificate(
        "commune", COMMUNE.public_key, "commune", AREA, MessageClass.URGENT, until_s
    )
    return order(Kind.CERTIFICATE, msgspec.json.encode(claim), by, issued_s=issued_s)


def grant(*orders: bytes, next_root: str = "") -> bytes:
    settings = f'name = "coc-1"\n[control]\nroot_public_key = "{ROOT.public_key.hex()}"\n'
    settings += f'area = "{AREA}/coc-1"\nnext_root = "{next_root}"\n'
    made = Grant(
        name="coc-1",
        public_key=NODE.public_key,
        nonce=bytes(16),
        number=2,
        certificate="",
        ca="",
        settings=settings,
        orders=orders,
        sounds=(),
    )
    return seal_paper(made, COMMUNE)


def taken(sealed: bytes, of: ControlConfig, stored: dict[str, bytes]) -> Grant | str | None:
    return newer_grant(sealed, NODE.public_key, NodeConfig(name="coc-1"), of, stored)


@given(times_s, times_s, st.booleans())
@example(60, 0, False)
@example(60, 0, True)
@example(4_000_000_000, BUILD_S, False)
def test_the_time_is_the_clocks_where_it_is_believed_and_else_the_floor(shown_s, kept_s, good):
    least_s = max(kept_s, BUILD_S)
    with running_on(Showing(shown_s, is_synchronised=good)):
        known = known_by(clock_of(control(), floor(kept_s)))()
    believed = good and shown_s >= least_s
    assert known == ((shown_s, True) if believed else (least_s, False))


@given(times_s, times_s, times_s, st.booleans())
@example(60, 0, BUILD_S + 9 * DAY_S, False)
@example(4_000_000_000, BUILD_S + DAY_S, BUILD_S + 9 * DAY_S, False)
@example(BUILD_S + 10 * DAY_S, 0, BUILD_S + 9 * DAY_S, True)
@example(60, BUILD_S + 10 * DAY_S, BUILD_S + 9 * DAY_S, False)
def test_a_grant_is_by_a_key_that_is_not_over_by_what_is_known(shown_s, kept_s, until_s, good):
    least_s = max(kept_s, BUILD_S)
    now_s = shown_s if good and shown_s >= least_s else least_s
    sealed = grant(certificate(ROOT, until_s))
    with running_on(Showing(shown_s, is_synchronised=good)):
        found = taken(sealed, control(), floor(kept_s))
    assert isinstance(found, Grant) == (now_s < until_s), found


def rotated(number: int = 1) -> list[bytes]:
    """What a station gives after its root was followed by another."""
    change = RootChange(
        number, ROOT.public_key, NEXT.public_key, BUILD_S, BUILD_S + DAY_S, bytes(32)
    )
    statement = order(Kind.ROOT, msgspec.json.encode(change), ROOT, NEXT)
    fresh = certificate(NEXT, BUILD_S + 900 * DAY_S, issued_s=BUILD_S + 60)
    return [statement, fresh]


@pytest.mark.parametrize("promised", [True, False])
def test_a_node_that_was_promised_no_root_takes_grants_after_a_rotation(promised):
    digest = digest_of(NEXT.public_key).hex()
    kept = {f"certificate/{COMMUNE.key_id.hex()}": certificate(ROOT, BUILD_S + 900 * DAY_S)}
    of = control(next_root=digest) if promised else control()
    with running_on(Showing(60, is_synchronised=False)):
        found = taken(grant(*rotated(), next_root=digest), of, kept)
        assert isinstance(found, Grant), found


def test_a_grant_by_who_is_certified_by_a_root_that_nobody_promised_is_not_taken():
    digest = digest_of(NEXT.public_key).hex()
    with running_on(Showing(60, is_synchronised=False)):
        assert "unknown key" in str(taken(grant(*rotated(), next_root=digest), control(), {}))
