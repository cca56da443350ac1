"""Files of the control part: rule files and catalogues that ship, and `loalang-node explain`."""

from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Final

from node.config import ConfigError
from node.control.civil_time import instant_s, load_zone
from node.control.controller import Controller
from node.control.loudness.language import Translate, load_catalogue, untranslated
from node.control.loudness.regulation import RuleFile, load_rule_file
from node.control.precedence import CLASSES, MessageClass
from node.control.settings import ControlConfig
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_text

LANGUAGES: Final = ("en", "vi")

_PACKAGE: Final = "node.control"


def read_rules(names: tuple[str, ...]) -> tuple[RuleFile, ...]:
    """Return the rule files `names`: names of those that ship, or paths.

    Raises
    ------
    ConfigError
        If one is not there, not TOML, or has wrong entries.
    """
    return tuple(_read_rule(name) for name in names)


def read_catalogue(language: str) -> Translate:
    """Return the translating function of `language`, one of `LANGUAGES`."""
    if language == "en":
        return untranslated
    entry = resources.files(_PACKAGE).joinpath("locale", f"{language}.po")
    return load_catalogue(entry.read_text("utf-8"), where=f"{language}.po")


def explain(control: ControlConfig, at: str, class_name: str, language: str) -> str:
    """Return which rule makes the volume what it is at `at`, wall clock `2026-11-22T05:30`.

    Raises
    ------
    ShellError
        If `at` is no time.
    """
    try:
        wall = datetime.fromisoformat(at)
        if wall.tzinfo is not None:
            raise ValueError("has an offset")
    except ValueError as fault:
        raise ShellError(
            f"--at {at}: must be the commune's wall clock, like 2026-11-22T05:30",
            exit_status=EXIT_INPUT,
        ) from fault
    controller = Controller("explain", control, read_rules(control.rules), {})
    utc_s = instant_s(wall.date(), wall.time(), load_zone(control.volume.zone))
    kind = MessageClass(CLASSES.index(class_name))
    return controller.explain(utc_s, kind, read_catalogue(language))


def _read_rule(name: str) -> RuleFile:
    path = Path(name)
    try:
        if path.suffix == ".toml":
            return load_rule_file(read_text(path), where=name)
        entry = resources.files(_PACKAGE).joinpath("regulations", f"{name}.toml")
        return load_rule_file(entry.read_text("utf-8"), where=f"{name}.toml")
    except ShellError as fault:
        if path.exists():
            raise ConfigError(f"control.rules: {fault}") from fault
        raise _unknown_rule(name) from fault
    except OSError as fault:
        raise _unknown_rule(name) from fault
    except ConfigError:
        raise  # it is TOML, with wrong entries
    except (ValueError, RecursionError) as fault:
        raise ConfigError(f"control.rules: {name!r}: not TOML: {fault}") from fault


def _unknown_rule(name: str) -> ConfigError:
    shipped = resources.files(_PACKAGE).joinpath("regulations").iterdir()
    known = ", ".join(sorted(one.name.removesuffix(".toml") for one in shipped))
    return ConfigError(
        f"control.rules: {name!r}: no such file; a path to a .toml file, or one of {known}"
    )
