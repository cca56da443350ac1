"""Read profiles from TOML; every fault of every file is named at once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from hw_profiles.model import Amplifier, Board, Horn, Profile, SoundCard
from node.config import ConfigError, build, require
from node.shell.faults import ShellError
from node.shell.files import read_text

T = TypeVar("T")

FOLDER: Final = Path(__file__).parent

_PARTS: Final = {"board": Board, "sound_card": SoundCard, "amplifier": Amplifier, "horn": Horn}
_SUBFOLDERS: Final = {
    "board": "boards",
    "sound_card": "sound_cards",
    "amplifier": "amplifiers",
    "horn": "horns",
}
_GONE: Final = {
    "boards": ("cores", "idle_w", "full_w"),
    "sound_cards": (),
    "amplifiers": ("efficiency", "idle_w"),
    "horns": ("high_hz", "angle_1khz_deg", "angle_4khz_deg"),
}
"""Fields that older files have: no answer ever depended on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProfileFile:
    board: str
    sound_card: str
    amplifier: str
    horn: str


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all profiles in `folder`, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(name: str, *, folder: Path = FOLDER) -> Profile:
    """Load one profile.

    Parameters
    ----------
    name : str
        File name without ``.toml``.
    folder : Path
        Where profiles and the folders of their parts lie.

    Raises
    ------
    ConfigError
        With one line per fault: file, field, value, and what would be right.
    """
    known = names(folder)
    if name not in known:
        raise ConfigError(f"profile {name!r} is unknown; known are: {', '.join(known)}")
    errors: list[str] = []
    path = folder / f"{name}.toml"
    table = read_toml(path, errors)
    chosen = build(_ProfileFile, table, where=_shown(path, folder), errors=errors)
    require(errors)
    assert chosen is not None
    parts: dict[str, Any] = {}
    paths: list[tuple[str, str]] = []
    for part, cls in _PARTS.items():
        part_path = folder / _SUBFOLDERS[part] / f"{getattr(chosen, part)}.toml"
        paths.append((part, _shown(part_path, folder)))
        parts[part] = _load_part(cls, part_path, f"{_shown(path, folder)}: {part}", errors)
    require(errors)
    return Profile(name=name, paths=tuple(paths), **parts)


def read_toml(path: Path, errors: list[str]) -> Mapping[str, Any]:
    """Return the table in `path`; an unreadable file or wrong TOML becomes a line of `errors`."""
    try:
        return tomllib.loads(read_text(path))
    except ShellError as fault:
        errors.append(str(fault))
    except (ValueError, RecursionError) as fault:
        errors.append(f"{path}: not TOML: {fault}")
    return {}


def _load_part(cls: type[T], path: Path, asked_by: str, errors: list[str]) -> T | None:
    if not path.is_file():
        known = ", ".join(names(path.parent))
        errors.append(f"{asked_by} = {path.stem!r}: must be one of {known}")
        return None
    before = len(errors)
    table = read_toml(path, errors)
    if len(errors) > before:
        return None
    where = f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
    gone = _GONE[path.parent.name]
    errors.extend(
        f"{where}: {name}: did nothing and is gone; remove its line"
        for name in gone
        if name in table
    )
    rest = {name: value for name, value in table.items() if name not in gone}
    return build(cls, rest, where=where, errors=errors)


def _shown(path: Path, folder: Path) -> str:
    return f"{folder.name}/{path.relative_to(folder)}"
