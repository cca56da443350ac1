"""After a power cut a mobile link is there when its modem has attached, not when the board has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from node.units import NS_PER_S
from sim.drive import run as drive
from sim.fleet import run as fleet
from sim.result.day import WARNED
from sim.sweep.settings import with_numbers
from sim.village import scenario
from sim.village.places import build_village, day_cuts
from sim.world.whole_day import live_orders
from tests.sim.faulty import row
from tests.sim.two_poles import VILLAGE
from tests.sim.villages import village

ORDER = '[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = 3600\nlasts_s = 3600\n'
CUT = row("power_cut", "01:30", "02:01")
BOOT_S = {"a-1": 16, "a-2": 35}
"""Of their boards."""


def load(folder, bearer="lte_good", faults=CUT):
    path = folder / "two.toml"
    path.write_text(VILLAGE.format(seed=4, bearer=bearer, floor=90, orders=ORDER, faults=faults))
    return scenario.load(path)


def came_s(asked, built):
    """Return when the warning was at each pole, s after the power was back, and why so late."""
    found = {}
    for one in live_orders(asked, built).fates():
        if one.kind == "alert":
            assert one.fate in WARNED
            found[one.node] = (one.arrived_s - 7260, one.reason)
    return found


@settings(max_examples=4, derandomize=True)
@given(attach_s=st.integers(0, 120))
def test_no_order_comes_before_the_modem_has_attached(tmp_path_factory, attach_s):
    asked = load(tmp_path_factory.mktemp("attach"))
    built = with_numbers(build_village(asked), {"lte_good.attach_s": attach_s})
    for node, (after_s, reason) in came_s(asked, built).items():
        least_s = max(attach_s, BOOT_S[node])
        assert least_s < after_s < least_s + 15, "and then it connects"
        assert ("no link" in reason) == (attach_s > BOOT_S[node]), reason
        assert "no power" in reason


def test_a_wire_has_no_modem(tmp_path):
    asked = load(tmp_path, bearer="ftth")
    built = build_village(asked)
    assert all(day_cuts(one, "link_down") == () for one in built.places)
    assert came_s(asked, built)["a-1"][0] < BOOT_S["a-1"] + 10


def test_each_cut_is_followed_by_one_of_the_link(tmp_path):
    faults = CUT + row("power_cut", "05:00", "06:00", cluster='"a-2"')
    places = build_village(load(tmp_path, faults=faults)).places
    back_s = {"a-1": (7260,), "a-2": (7260, 21_600)}
    for one in places:
        spans = tuple((at * NS_PER_S, (at + 32) * NS_PER_S) for at in back_s[one.node])
        assert day_cuts(one, "link_down") == spans


def test_a_live_programme_waits_for_it_in_each_tier(tmp_path):
    cut = '[[faults]]\nkind = "power_cut"\nfrom_s = 5\nuntil_s = 6\n'
    path = tmp_path / "one.toml"
    place = {("A1", 0, 0): [("a-1", "pi_5_usb", "lte_good", 0, 0)]}
    path.write_text(village(place, duration_s=60, more=cut) + "\n[sender]\nreports = false\n")
    asked = scenario.load(path)
    told = [drive.run(asked, decode=False).nodes[0], fleet.run(asked).nodes[0]]
    assert told[0].received_ms == told[1].received_ms
    # 5 s before the cut, and 38 s after its begin; a second to find the sender.
    assert 60 - 33 - 3 < told[0].received_ms / 1000 < 60 - 33 + 0.1
