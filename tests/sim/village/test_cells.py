"""A cell has one bearer: who names one on two is told so, and does not get two of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from sim.village import scenario
from sim.village.places import build_village

HEAD = """
title = "Some poles"
question = "Which cells are there?"
seed = 1
duration_s = 5
"""
COMMUNE = """
[[communes]]
name = "{name}"
x_m = 0
y_m = 0
[[communes.hamlets]]
name = "{name}1"
x_m = 0
y_m = 0
clusters = [
{clusters}
]
"""
POLE = (
    '{{ name = "{name}", profile = "pi_4b_usb", bearer = "{bearer}", x_m = 0, y_m = 0{cell} }},\n'
)
BEARERS = ["lte_weak", "lte_good", "wifi24_outdoor"]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("AB"),
            st.sampled_from(BEARERS),
            st.sampled_from([None, "hill", "river", "lte_weak"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_cell_of_two_bearers_is_an_error_and_any_other_is_one_cell(tmp_path_factory, poles):
    text = HEAD
    for commune in sorted({one[0] for one in poles}):
        clusters = "\n".join(
            POLE.format(name=f"c{i}", bearer=bearer, cell=f', cell = "{cell}"' if cell else "")
            for i, (where, bearer, cell) in enumerate(poles)
            if where == commune
        )
        text += COMMUNE.format(name=commune, clusters=clusters)
    path = tmp_path_factory.mktemp("cells") / "cells.toml"
    path.write_text(text)
    bearers = {}
    for where, bearer, cell in poles:
        bearers.setdefault((where, cell or bearer), set()).add(bearer)
    if all(len(some) == 1 for some in bearers.values()):
        places = build_village(scenario.load(path)).places
        assert len({(one.commune, one.cell_name) for one in places}) == len(bearers)
        return
    with pytest.raises(ConfigError, match="and a cell has one bearer; a mast that has both is two"):
        scenario.load(path)
