"""The numbers of the CELT layer are those of the format."""

import json
from math import pi, sin

import numpy as np
import pytest

from node.opus.celt import tables_celt as tables

NAMES = {
    "eband5ms": tables.BAND_EDGES,
    "logN400": tables.LOG_WIDTH_Q3,
    "pred_coef": tables.INTER_ALPHA,
    "beta_coef": tables.INTER_BETA,
    "beta_intra": tables.INTRA_BETA,
    "e_prob_model": tables.ENERGY_MODEL,
    "band_allocation": tables.ALLOCATION,
    "LOG2_FRAC_TABLE": tables.LOG2_FRAC,
    "cache_index50": tables.PULSE_INDEX,
    "cache_bits50": tables.PULSE_COST,
    "cache_caps50": tables.CAPS,
    "tf_select_table": tables.TF_ADJUST,
    "gains": tables.COMB_TAPS,
    "SPREAD_FACTOR": tables.SPREAD_FACTOR,
    "exp2_table8": tables.EXP2_Q14,
    "ordery_table": tables.HADAMARD_ORDER,
    "bit_interleave_table": tables.MASK_MERGE,
    "bit_deinterleave_table": tables.MASK_SPREAD,
    "window120": tables.WINDOW,
}


@pytest.fixture(scope="module")
def source(shared):
    path = shared / "opus_tables" / "opus_tables.json"
    if not path.is_file():
        pytest.skip(f"no table of numbers at {path}")
    return {name: np.ravel(one["values"]) for name, one in json.loads(path.read_text()).items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_table_has_the_numbers_of_the_reference(name, source):
    ours = np.ravel(NAMES[name])
    wanted = source[name]
    assert ours.size == wanted.size
    assert np.array_equal(ours, wanted.astype(ours.dtype))


def test_mean_energies_are_the_references_for_the_bands_that_opus_uses(source):
    assert np.array_equal(tables.MEAN_ENERGY, source["eMeans"][: tables.BANDS].astype(np.float32))


@pytest.mark.parametrize("name", ["trim", "spread", "tapset", "small_energy"])
def test_symbol_tables_lie_where_their_names_say(name, source):
    wanted = source[f"{name}_icdf"]
    begin = getattr(tables, f"{name.upper()}_ICDF")
    assert np.array_equal(tables.ICDF[begin : begin + wanted.size], wanted)
    assert wanted[0] < 1 << getattr(tables, f"{name.upper()}_BITS")


def test_the_window_keeps_the_power_of_an_overlap():
    formula = [sin(pi / 2 * sin(pi / 2 * (i + 0.5) / 120) ** 2) for i in range(120)]
    assert np.allclose(tables.WINDOW, formula, atol=1e-7)
    assert np.allclose(tables.WINDOW**2 + tables.WINDOW[::-1] ** 2, 1.0, atol=1e-6)
