import numpy as np

from sim.result.run import STAGES, NodeRow, RunResult
from tests.sim.report.example_result import example_result


def test_a_stored_result_reads_back_whole():
    result = example_result()

    again = RunResult.from_json(result.to_json())

    assert again.nodes == result.nodes
    assert again.summary() == result.summary()
    np.testing.assert_array_equal(again.raster, result.raster)
    for name, one in result.listen.items():
        np.testing.assert_array_equal(again.listen[name].samples, one.samples)


def test_the_stages_of_the_delay_are_fields_of_a_row():
    assert set(STAGES) <= set(NodeRow.__dataclass_fields__)
