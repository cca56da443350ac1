import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import ConfigError, JitterConfig, NodeConfig, build, require

tables = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "jitter", "audio", "mode", "channels", "gain_db", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def read(text: str) -> tuple[NodeConfig | None, list[str]]:
    errors: list[str] = []
    return build(NodeConfig, tomllib.loads(text), where="node.toml", errors=errors), errors


def test_a_name_is_enough():
    config, errors = read('name = "thien-tan-01"')

    assert errors == []
    assert config is not None
    assert config.jitter.playout_delay_ms == 400


def test_all_faults_are_named_at_once_with_place_value_and_what_is_right():
    config, errors = read(
        """
        name = "Thiện Tân"
        [jitter]
        mode = "fast"
        playout_delay = 400
        [audio]
        channels = "two"
        gain_db = 3
        """
    )

    assert config is None
    assert errors == [
        "node.toml: jitter.playout_delay: unknown; known here: mode, playout_delay_ms, "
        "delay_min_ms, delay_max_ms, late_ratio, conceal_max_ms, fade_ms, delay_ms",
        "node.toml: jitter.mode = 'fast': must be one of 'synchronised', 'adaptive'",
        "node.toml: audio.channels = 'two': must be a whole number",
    ]
    with pytest.raises(ConfigError, match=r"audio\.channels"):
        require(errors)


def test_a_missing_name_is_asked_for():
    assert read("")[1] == ["node.toml: name: missing; it must be a text"]


def test_values_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ConfigError, match=r"delay_max_ms = 100: must be at least .* 200"):
        JitterConfig(delay_min_ms=200, delay_max_ms=100)


@given(st.dictionaries(st.sampled_from(["name", "jitter", "audio", "receive", "x"]), tables))
def test_no_table_makes_the_reader_fail_otherwise(table):
    errors: list[str] = []
    config = build(NodeConfig, table, where="node.toml", errors=errors)

    assert (config is None) == bool(errors)
    assert all(line.startswith("node.toml: ") and "\n" not in line for line in errors)
