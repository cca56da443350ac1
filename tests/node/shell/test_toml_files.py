"""Files of people that are no TOML a reader can take: told in a sentence, whatever reads them."""

from pathlib import Path

import pytest

from hw_profiles.loader import read_toml
from node.config import ConfigError
from node.shell.config import read_config
from node.shell.faults import ShellError
from node.shell.poles.pole_list import read_poles
from node.shell.rule_files import read_rules
from sim.village.rules import read_rule

FILES = {
    "a list too deep": b"a = " + b"[" * 5000,
    "a number too long": b"a = " + b"9" * 5000,
    "no UTF-8": b"a = '\xe9'",
    "UTF-16": "name = 'x'\n".encode("utf-16"),
    "a zero": b"a = \x00",
    "two names": b"a = 1\na = 2",
}
READERS = {
    "node": read_config,
    "poles": read_poles,
    "rules": lambda path: read_rules((str(path),)),
    "village's rules": lambda path: read_rule(path.name, path.parent),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_is_no_toml_is_told_in_one_line(read, data, tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_bytes(data)
    with pytest.raises((ShellError, ConfigError), match=r"not TOML|not UTF-8") as told:
        read(path)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_so_it_is_in_a_profile(data, tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_bytes(data)
    errors: list[str] = []
    assert read_toml(path, errors) == {}
    assert len(errors) == 1 and ("not TOML" in errors[0] or "not UTF-8 text" in errors[0])


def test_a_wrong_entry_of_rules_is_told_as_that(tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_text("nonsense = 1\n", encoding="utf-8")
    for read in (lambda: read_rules((str(path),)), lambda: read_rule("x.toml", tmp_path)):
        with pytest.raises(ConfigError, match="nonsense") as told:
            read()
        assert "not TOML" not in str(told.value)
