"""A node is stolen with its whole disk: what can be done with all that is on it."""

import re

import msgspec
import pytest

from node.control.orders import Session
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate, Revocation
from node.control.trust.fates import is_good
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from tests.node.control.test_controller import (
    AREA,
    CALENDAR,
    COMMUNE,
    NODE,
    PROVINCE,
    ROOT,
    URGENT,
    Village,
    signer,
)

OWN_SEED = "own-seed"
ORDERS = {
    Kind.CERTIFICATE: msgspec.json.encode(
        Certificate("thief", signer("thief").public_key, "hamlet", AREA, 2, 1 << 39)
    ),
    Kind.REVOCATION: msgspec.json.encode(Revocation((COMMUNE.key_id,))),
    Kind.BEACON: b"",
    Kind.SHORT_ALERT: encode_short("alert", 99, lasts_s=3600),
    Kind.CALENDAR: CALENDAR.encode(),
    Kind.VOLUME: b"volume = 0",
    Kind.SESSION: msgspec.json.encode(Session(77)),
    Kind.MUTE: b"",
    Kind.UNMUTE: b"",
}


def lived_in() -> tuple[Village, list[bytes]]:
    """Return a node that has seen everything, and the orders as they went over the network."""
    village = Village("2025-12-07T05:20:00")
    village.disk[OWN_SEED] = b"n" * 32
    sent = [
        village.sealed(COMMUNE, Kind.CALENDAR, CALENDAR.encode()),
        village.sealed(COMMUNE, Kind.VOLUME, b"volume = 33"),
        village.sealed(COMMUNE, Kind.SESSION, msgspec.json.encode(Session(7)), ttl_s=86_400),
        village.sealed(COMMUNE, Kind.MUTE, ttl_s=60),
        village.sealed(
            PROVINCE,
            Kind.SHORT_ALERT,
            encode_short("alert", 1, lasts_s=3600),
            message_class=URGENT,
        ),
    ]
    assert all(is_good(village.send(one)) for one in sent)
    return village, sent


def seeds_in(disk: dict[str, bytes]) -> list[bytes]:
    """Return all that could be a secret key: every 32 bytes, plain, in hexadecimal or anywhere."""
    found = {value[i : i + 32] for value in disk.values() for i in range(len(value) - 31)}
    for value in disk.values():
        found |= {bytes.fromhex(one.decode()) for one in re.findall(rb"[0-9a-f]{64}", value)}
    return sorted(found)


def order_of(by: SeedSigner, kind: Kind, village: Village, area: str) -> bytes:
    message = Message(
        kind=kind,
        key_id=by.key_id,
        counter=1 << 60,
        issued_s=(village.now_ns + village.offset_ns) // 10**9,
        ttl_s=600,
        message_class=MessageClass.URGENT,
        area=area,
        content=ORDERS[kind],
    )
    return seal(message, by)


def test_nothing_on_the_disk_of_a_stolen_node_orders_anything_anywhere():
    stolen, sent = lived_in()
    other, _ = lived_in()
    before = other.node.status(other.now_ns)
    seeds = seeds_in(stolen.disk)
    assert b"n" * 32 in seeds and len(seeds) > 1000
    keys = {SeedSigner(seed).public_key for seed in seeds}
    assert not keys & {one.public_key for one in (ROOT, PROVINCE, COMMUNE)}
    own = SeedSigner(b"n" * 32)
    for by in (own, NODE):  # by its own key, and by that with which it answers
        for kind in ORDERS:
            for area in (AREA, f"{AREA}/coc-1", "vn"):
                assert not is_good(other.send(order_of(by, kind, other, area)))
    kept = [value for value in stolen.disk.values() if value.startswith(b"LL1")]
    assert len(kept) >= 4
    for order in (*kept, *sent):  # signed by others, and once good: on its disk, and overheard
        assert not is_good(other.send(order))
    assert other.node.status(other.now_ns) == before


@pytest.mark.parametrize("off", [False, True])
def test_a_key_that_was_stolen_with_the_office_is_silent_at_once_or_at_first_contact(off):
    """Nodes that are on obey within the same call; one that was off, before anything else."""
    village, _ = lived_in()
    thief = COMMUNE
    revocation = village.sealed(
        PROVINCE, Kind.REVOCATION, ORDERS[Kind.REVOCATION], area="vn/lang-son", ttl_s=7 * 86_400
    )
    if off:
        village.now_ns += 3 * 86_400 * 10**9
        village.boot()
    begin_ns = village.now_ns
    assert village.send(revocation) == "obeyed"
    assert village.now_ns == begin_ns
    assert village.node.source_class(7) is None
    for kind in ORDERS:
        fate = village.send(order_of(thief, kind, village, AREA))
        assert not is_good(fate), fate
    village.boot()
    assert not is_good(village.send(order_of(thief, Kind.MUTE, village, AREA)))
