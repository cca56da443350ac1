"""All histories that ever failed: each must hold for good (`tests/sim/seeds.toml`)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from node.config import ConfigError
from sim.swarm.script import Script, built


@dataclass(frozen=True, slots=True)
class Entry:
    """One history of the ledger."""

    name: str
    """What was wrong, in a few words."""

    script: Script


def read(path: Path) -> list[Entry]:
    """Return the entries of a ledger: tables `[[seeds]]`, each a script with a `name`.

    Raises
    ------
    ConfigError
        With a line for each fault.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("seeds", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    found = []
    for i, table in enumerate(tables):
        name = str(table.pop("name", ""))
        found.append(Entry(name, built(table, where=f"{path.name}: seeds[{i}]")))
    return found
