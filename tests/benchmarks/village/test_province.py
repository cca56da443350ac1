"""The picture of what a province costs shows a cost in proportion as one, and one that is not."""

from xml.dom import minidom

import pytest

from benchmarks.village.province import drawn


def circles(costs):
    found = minidom.parseString(drawn({"clusters, 60 s": costs})).getElementsByTagName("circle")
    return [(float(one.getAttribute("cx")), float(one.getAttribute("cy"))) for one in found]


def test_each_size_is_a_point_and_ten_times_the_cost_for_ten_times_the_work_is_as_far_up():
    (x0, y0), (x1, y1), (x2, y2) = circles([(4000, 0.2), (40_000, 2.0), (400_000, 20.0)])
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.05)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.05)
    assert y0 > y1 > y2


def test_a_cost_that_grows_faster_than_its_work_bends_upwards():
    (_, y0), (_, y1), (_, y2) = circles([(4000, 0.2), (40_000, 2.0), (400_000, 80.0)])
    assert y1 - y2 > 1.5 * (y0 - y1)
