"""When packets reach the last link of each node is remembered once for all of which it is alike."""

import numpy as np

from sim.drive.tally import Departures


def test_nodes_of_which_it_is_alike_share_what_is_remembered():
    departs = Departures(["a", "b"], kept=4)
    for first in (0, 3, 6):
        alike = np.arange(first, first + 3)
        departs.add(first, {"a": alike, "b": alike})
        departs.forget()
    assert departs.of("a") is departs.of("b")
    assert departs.of("a").first == 5
    np.testing.assert_array_equal(departs.of("a").values, [[5, 6, 7, 8]])


def test_who_meets_another_queue_has_instants_of_its_own_from_then_on():
    departs = Departures(["a", "b", "c"], kept=10)
    alike = np.arange(3)
    departs.add(0, {"a": alike, "b": alike, "c": alike})
    departs.forget()
    more, late = np.arange(3, 6), np.arange(103, 106)
    departs.add(3, {"a": more, "b": late, "c": more})
    departs.forget()
    last = np.arange(6, 9)
    departs.add(6, {"a": last, "b": last, "c": last})
    departs.forget()
    np.testing.assert_array_equal(departs.of("a").values, [np.arange(9)])
    np.testing.assert_array_equal(departs.of("b").values, [[0, 1, 2, 103, 104, 105, 6, 7, 8]])
    assert departs.of("c") is departs.of("a")
    assert {departs.of(node).first for node in "abc"} == {0}
