"""Rule files of a day: those that ship with the node, or the planner's own beside the scenario."""

from importlib import resources
from pathlib import Path
from typing import Final

from node.config import ConfigError
from node.control.loudness.regulation import RuleFile, load_rule_file
from node.shell.faults import ShellError
from node.shell.files import read_text

_SHIPPED: Final = resources.files("node.control").joinpath("regulations")


def read_rule(name: str, folder: Path) -> RuleFile:
    """Return the rule file `name`: one that ships, or a path to a `.toml` file in `folder`.

    Raises
    ------
    ConfigError
        If it is not there, not TOML, or has wrong entries.
    """
    try:
        if name.endswith(".toml"):
            return load_rule_file(read_text(folder / name), where=name)
        entry = _SHIPPED.joinpath(f"{name}.toml")
        return load_rule_file(entry.read_text("utf-8"), where=f"{name}.toml")
    except (OSError, ShellError) as fault:
        if (folder / name).exists():
            raise ConfigError(str(fault)) from fault
        known = ", ".join(sorted(one.name.removesuffix(".toml") for one in _SHIPPED.iterdir()))
        raise ConfigError(f"no such file; a path to a .toml file, or one of {known}") from fault
    except ConfigError:
        raise  # it is TOML, with wrong entries
    except (ValueError, RecursionError) as fault:
        raise ConfigError(f"not TOML: {fault}") from fault
