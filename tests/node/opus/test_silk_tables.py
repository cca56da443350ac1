"""The SILK layer's numbers are the RFC's."""

import json

import numpy as np
import pytest

from node.opus import tables_silk as t

_CODEBOOKS = {
    "SHELL_OFFSETS": "silk_shell_code_table_offsets",
    "NLSF_CODEBOOK_NB_Q8": "silk_NLSF_CB1_NB_MB_Q8",
    "NLSF_CODEBOOK_WB_Q8": "silk_NLSF_CB1_WB_Q8",
    "NLSF_SELECT_NB": "silk_NLSF_CB2_SELECT_NB_MB",
    "NLSF_SELECT_WB": "silk_NLSF_CB2_SELECT_WB",
    "NLSF_PREDICTION_NB_Q8": "silk_NLSF_PRED_NB_MB_Q8",
    "NLSF_PREDICTION_WB_Q8": "silk_NLSF_PRED_WB_Q8",
    "NLSF_SPACING_NB_Q15": "silk_NLSF_DELTA_MIN_NB_MB_Q15",
    "NLSF_SPACING_WB_Q15": "silk_NLSF_DELTA_MIN_WB_Q15",
    "STEREO_WEIGHT_Q13": "silk_stereo_pred_quant_Q13",
    "LTP_SCALE_Q14": "silk_LTPScales_table_Q14",
    "RESAMPLER_EVEN_Q16": "silk_resampler_up2_hq_0",
    "RESAMPLER_ODD_Q16": "silk_resampler_up2_hq_1",
    "RESAMPLER_FIR_Q15": "silk_resampler_frac_FIR_12",
    "RESAMPLER_DELAY": "delay_matrix_dec",
    "HARMONIC_FADE_Q15": "HARM_ATT_Q15",
    "NOISE_FADE_VOICED_Q15": "PLC_RAND_ATTENUATE_V_Q15",
    "NOISE_FADE_UNVOICED_Q15": "PLC_RAND_ATTENUATE_UV_Q15",
}
_ICDF = {
    "LTP_PERIODICITY": "silk_LTP_per_index_iCDF",
    "LTP_GAIN_0": "silk_LTP_gain_iCDF_0",
    "LTP_GAIN_1": "silk_LTP_gain_iCDF_1",
    "LTP_GAIN_2": "silk_LTP_gain_iCDF_2",
    "NLSF_1_NB": "silk_NLSF_CB1_iCDF_NB_MB",
    "NLSF_1_WB": "silk_NLSF_CB1_iCDF_WB",
    "NLSF_2_NB": "silk_NLSF_CB2_iCDF_NB_MB",
    "NLSF_2_WB": "silk_NLSF_CB2_iCDF_WB",
    "NLSF_EXTENSION": "silk_NLSF_EXT_iCDF",
    "NLSF_INTERPOLATION": "silk_NLSF_interpolation_factor_iCDF",
    "GAIN": "silk_gain_iCDF",
    "GAIN_DELTA": "silk_delta_gain_iCDF",
    "STEREO_JOINT": "silk_stereo_pred_joint_iCDF",
    "MID_ONLY": "silk_stereo_only_code_mid_iCDF",
    "LBRR_2": "silk_LBRR_flags_2_iCDF",
    "LBRR_3": "silk_LBRR_flags_3_iCDF",
    "LSB": "silk_lsb_iCDF",
    "LTP_SCALE": "silk_LTPscale_iCDF",
    "TYPE_ACTIVE": "silk_type_offset_VAD_iCDF",
    "TYPE_INACTIVE": "silk_type_offset_no_VAD_iCDF",
    "UNIFORM_3": "silk_uniform3_iCDF",
    "UNIFORM_4": "silk_uniform4_iCDF",
    "UNIFORM_5": "silk_uniform5_iCDF",
    "UNIFORM_6": "silk_uniform6_iCDF",
    "UNIFORM_8": "silk_uniform8_iCDF",
    "PITCH_LAG": "silk_pitch_lag_iCDF",
    "PITCH_DELTA": "silk_pitch_delta_iCDF",
    "CONTOUR_20": "silk_pitch_contour_iCDF",
    "CONTOUR_20_NB": "silk_pitch_contour_NB_iCDF",
    "CONTOUR_10": "silk_pitch_contour_10_ms_iCDF",
    "CONTOUR_10_NB": "silk_pitch_contour_10_ms_NB_iCDF",
    "PULSES": "silk_pulses_per_block_iCDF",
    "RATE_LEVEL": "silk_rate_levels_iCDF",
    "SHELL_2": "silk_shell_code_table0",
    "SHELL_4": "silk_shell_code_table1",
    "SHELL_8": "silk_shell_code_table2",
    "SHELL_16": "silk_shell_code_table3",
}
_CONTOURS = {
    "CONTOUR_OFFSETS_20_NB": "silk_CB_lags_stage2",
    "CONTOUR_OFFSETS_20": "silk_CB_lags_stage3",
    "CONTOUR_OFFSETS_10_NB": "silk_CB_lags_stage2_10_ms",
    "CONTOUR_OFFSETS_10": "silk_CB_lags_stage3_10_ms",
}

pytestmark = pytest.mark.needs_shared


@pytest.fixture(scope="module")
def numbers(shared):
    tables = json.loads((shared / "opus_tables" / "opus_tables.json").read_text())
    return lambda name: np.array(tables[name]["values"])


@pytest.mark.parametrize("name", _CODEBOOKS)
def test_codebooks_and_filters_are_the_reference_s(name, numbers):
    np.testing.assert_array_equal(getattr(t, name), numbers(_CODEBOOKS[name]).ravel())


@pytest.mark.parametrize("name", _ICDF)
def test_probabilities_lie_where_their_names_say(name, numbers):
    expected = numbers(_ICDF[name]).ravel()
    at = getattr(t, name)
    np.testing.assert_array_equal(t.ICDF[at : at + expected.size], expected)


def test_each_sign_has_its_probability_and_an_end(numbers):
    expected = numbers("silk_sign_iCDF")
    np.testing.assert_array_equal(t.ICDF[t.SIGN :: 2][: expected.size], expected)
    assert not t.ICDF[t.SIGN + 1 :: 2].any()


@pytest.mark.parametrize("name", _CONTOURS)
def test_pitch_contours_are_the_reference_s_by_index(name, numbers):
    np.testing.assert_array_equal(getattr(t, name), numbers(_CONTOURS[name]).T.ravel())


def test_long_term_filters_and_cosines_are_the_reference_s(numbers):
    filters = [numbers(f"silk_LTP_gain_vq_{i}").ravel() for i in range(3)]
    np.testing.assert_array_equal(t.LTP_TAPS_Q7, np.concatenate(filters))
    np.testing.assert_array_equal(2 * t.COSINE_Q12, numbers("silk_LSFCosTab_FIX_Q12"))
