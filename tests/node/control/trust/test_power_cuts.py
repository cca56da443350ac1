"""A power cut between an order and the disk: what was kept acts once, and no warning is lost."""

from random import Random

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.trust.message import Kind
from node.control.trust.revocations import Revocation
from node.control.warning.short_alert import encode_short
from node.events import Persist
from node.units import NS_PER_S
from tests.node.control.test_controller import COMMUNE, PROVINCE, URGENT
from tests.node.control.trust.test_rights import HAMLET, with_hamlet


class Pole:
    """A node, and what of each order is on the disk when the power fails."""

    def __init__(self) -> None:
        self.village = with_hamlet()
        self.kept = [dict(self.village.disk)]
        """After each order."""

    def send(self, data: bytes) -> str:
        self.village.now_ns += NS_PER_S
        fate = self.village.send(data)
        self.kept.append(dict(self.village.disk))
        return fate

    def lose_power(self, durable: int) -> None:
        """Go dark when the first `durable` orders were on the disk, and come back."""
        self.village.disk = dict(self.kept[durable])
        self.village.events.clear()
        self.village.stored.clear()
        self.village.now_ns = 10**12 + 100 * NS_PER_S
        self.village.boot()


def drawn(pole: Pole, kinds: list[str]) -> list[bytes]:
    """Orders of those kinds, signed for `pole`; "again" is an earlier one once more."""
    village, made = pole.village, list[bytes]()
    for number, what in enumerate(kinds):
        if what == "again" and made:
            made.append(made[number // 2])
        elif what == "revoke":
            content = msgspec.json.encode(Revocation((HAMLET.key_id,)))
            made.append(village.sealed(PROVINCE, Kind.REVOCATION, content, area="vn/lang-son"))
        elif what in ("mute", "unmute"):
            made.append(village.sealed(COMMUNE, Kind[what.upper()]))
        elif what == "beacon":
            made.append(village.sealed(PROVINCE, Kind.BEACON, area="vn/lang-son"))
        else:
            about = max(number - 1, 0) if what == "cancel" else 0
            content = encode_short("cancel" if about else "alert", number, about=about)
            made.append(
                village.sealed(
                    PROVINCE, Kind.SHORT_ALERT, content, message_class=URGENT, ttl_s=9999
                )
            )
    return made


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(("warn", "cancel", "mute", "unmute", "beacon", "revoke", "again")),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 12),
    st.integers(0, 1000),
)
@example(["warn"], 0, 0)
@example(["warn"], 1, 0)
@example(["warn", "cancel"], 1, 0)
def test_a_cut_gives_nobody_more_than_withholding_what_was_not_on_the_disk(kinds, durable, seed):
    """Not one order acts otherwise than at a node to which only the kept ones had ever come."""
    cut, reference = Pole(), Pole()
    orders = drawn(cut, kinds)
    durable = min(durable, len(orders))
    fates = [cut.send(one) for one in orders]
    for one in orders[:durable]:
        reference.send(one)
    for pole in (cut, reference):
        pole.lose_power(durable)
    again = Random(seed).sample(orders, len(orders))
    told = [cut.send(one) for one in again]
    assert told == [reference.send(one) for one in again]
    assert cut.village.disk == reference.village.disk
    assert cut.village.heard() == reference.village.heard()
    obeyed = {one for one, fate in zip(orders[:durable], fates, strict=False) if fate == "obeyed"}
    unknown = set(orders[durable:]) - set(orders[:durable])
    for one, fate in zip(again, told, strict=True):
        assert one not in obeyed or fate != "obeyed", "an order that was kept acted twice"
        assert one not in unknown or again.count(one) > 1 or fate != "replayed", "a warning is lost"


def test_what_an_order_changed_and_that_it_came_are_kept_in_one_piece():
    """The shell writes what one call tells as one batch: no half of it survives alone."""
    pole = Pole()
    (order,) = drawn(pole, ["warn"])
    first = len(pole.village.events)
    pole.send(order)
    told = [one.key for one in pole.village.events[first:] if isinstance(one, Persist)]
    assert any(key.startswith("counters/") for key in told)
    assert any(not key.startswith("counters/") for key in told)
