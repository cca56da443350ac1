from sim.result.run import STAGES, NodeRow


def test_the_stages_of_the_delay_are_fields_of_a_row():
    assert set(STAGES) <= set(NodeRow.__dataclass_fields__)
