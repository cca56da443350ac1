"""A node-second of whole daemons: only nodes with power count, silence apart from sound."""

from benchmarks.village.world import minutes
from sim.village.places import build_village
from sim.village.scenario import load
from sim.world.stretch import Stretch


def test_a_node_without_power_costs_nothing_and_counts_for_nothing():
    scenario = load("flood_night")
    stretch = Stretch(scenario, build_village(scenario), begin_s=7_140, end_s=7_260)
    silent, warned = minutes(stretch)
    stretch.world.close()
    assert silent.powered_s == warned.powered_s == 8 * 60, "three of eleven have none"
    assert (silent.sounding_s, silent.silent) == (0, 11)
    assert warned.silent == 7, "three without power, three without link, one without signal"
    assert 4 * 20 < warned.sounding_s < 4 * 60
