"""An order that was kept before it acted acts once, wherever the power is cut."""

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.events import StartPart
from node.control.trust.ahead import PLACES, PREFIX
from node.control.trust.fates import is_good
from node.control.trust.message import Kind
from node.control.trust.rates import ORDINARY
from node.events import Persist
from node.units import NS_PER_S
from tests.node.control.test_controller import PROVINCE, THIEF, URGENT, Village
from tests.node.control.trust.test_power_cuts import Pole, drawn
from tests.node.control.trust.test_rights import playing

KINDS = st.sampled_from(("warn", "warn", "cancel", "mute", "unmute", "beacon", "revoke", "again"))


class Careful(Pole):
    """A node whose shell keeps each order before it acts; every write to the disk is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = [dict(self.village.disk)]
        """The disk as each write leaves it."""
        self.acted: list[tuple[int, bytes, str]] = []
        """How many writes there were when an order was let act, which one, and its fate."""

    def give(self, data: bytes) -> str:
        village = self.village
        village.now_ns += NS_PER_S
        kept = village.node.foresee(data, village.now_ns)
        if kept is not None:
            village.disk[kept.key] = kept.value
            self.writes.append(dict(village.disk))
        before = len(self.writes)
        fate = village.send(data)
        self.acted.append((before, data, fate))
        self.writes.append(dict(village.disk))
        return fate

    def lose_power(self, write: int) -> None:
        """Go dark after so many writes, and come back."""
        self.kept = [self.writes[write]]
        super().lose_power(0)


def starts(village: Village) -> list[str]:
    return [event.name for event in village.events if isinstance(event, StartPart)]


@settings(max_examples=150)
@given(st.lists(KINDS, min_size=1, max_size=8), st.integers(0, 99), st.integers(0, 1000))
@example(["warn"], 1, 0)
@example(["warn"], 2, 0)
@example(["mute", "unmute"], 1, 0)
def test_what_acted_before_a_cut_is_used_up_after_it_and_what_was_kept_is_not_lost(kinds, at, seed):
    pole = Careful()
    orders = drawn(pole, kinds)
    for one in orders:
        pole.give(one)
    write = at % len(pole.writes)
    pole.lose_power(write)
    village = pole.village
    assert not any(name.startswith(PREFIX) for name in village.disk), "each has acted by now"
    # What had acted when the power failed, with its first write behind it and its second not yet.
    acted = {data for before, data, fate in pole.acted if before <= write + 1 and is_good(fate)}
    kind_of = dict(zip(reversed(orders), reversed(kinds), strict=True))
    village.events.clear()
    for one in Random(seed).sample(orders, len(orders)):
        heard, fate = len(starts(village)), village.send(one)
        if one in acted and kind_of[one] not in ("beacon", "revoke"):
            assert not is_good(fate), "it acts a second time"
            assert len(starts(village)) == heard, "it is heard a second time"


def test_a_warning_that_was_kept_and_had_not_acted_sounds_when_the_power_is_back():
    pole = Careful()
    (order,) = drawn(pole, ["warn"])
    village = pole.village
    kept = village.node.foresee(order, village.now_ns)
    assert isinstance(kept, Persist) and kept.value == order
    village.disk[kept.key] = kept.value
    village.events.clear()
    village.boot()
    assert playing(village) and [one.fate for one in village.answers()] == ["waiting"]
    assert village.send(order) == "replayed"
    village.boot()
    assert village.send(order) == "replayed"


def test_only_what_will_act_is_kept_and_there_are_places_for_so_many():
    village = Village()

    def order(by=PROVINCE, kind=Kind.MUTE, **more):
        return village.node.foresee(village.sealed(by, kind, **more), village.now_ns)

    assert order(by=THIEF) is None and order(kind=Kind.BEACON) is None
    assert order(area="vn/elsewhere") is None and order(late_s=6000) is None
    for data in (b"", b"x" * 500):
        assert village.node.foresee(data, village.now_ns) is None
    held = [order(message_class=URGENT) for _ in range(PLACES + 5)]
    assert len({one.key for one in held if one is not None}) == PLACES
    assert held[PLACES:] == [None] * 5, "more act all the same, without being kept first"
    mine = village.sealed(PROVINCE, Kind.MUTE)
    assert village.send(mine) == "obeyed"
    assert village.node.foresee(mine, village.now_ns) is None, "it is used up"
    for _ in range(ORDINARY[0]):
        village.order(PROVINCE, Kind.UNMUTE)
    assert order() is None, "no key buys the disk"


def test_an_order_that_has_acted_makes_its_place_free_and_leaves_nothing_on_the_disk():
    pole = Careful()
    for order in drawn(pole, ["mute", "unmute"] * PLACES):
        before = len(pole.writes)
        assert is_good(pole.give(order))
        assert len(pole.writes) == before + 2, "this one was not kept before it acted"
        assert not any(value for name, value in pole.village.disk.items() if PREFIX in name)


@given(st.dictionaries(st.sampled_from([f"{PREFIX}{n}" for n in (0, 1, 31, 32, "x")]), st.binary()))
def test_whatever_a_disk_holds_of_orders_that_were_kept_a_node_starts(kept):
    village = Village()
    village.disk |= kept
    village.boot()
    assert village.order(PROVINCE, Kind.MUTE) == "obeyed"
