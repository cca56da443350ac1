"""Access technologies: what one direction of a link does to packets, each number with a source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from hw_profiles import Number, Switch, Whole
from hw_profiles.loader import read_toml
from hw_profiles.model import figures, not_negative
from node.config import ConfigError, build, check, require
from sim.links.sleep import Sleep

FOLDER: Final = Path(__file__).parent / "bearers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """One access technology (file in `sim/links/bearers/`, or table `[bearers.NAME]`)."""

    title: str

    one_way_ms: Number
    """Transit of the fastest packet."""

    jitter_shape: Literal["none", "gev", "lognormal", "gamma"]
    """Distribution of what comes on top; draws are independent, and the link keeps the order."""

    jitter_scale_ms: Number
    """gev: its scale; lognormal: median; gamma: mean."""

    loss_pct: Number
    loss_burst_packets: Number
    """Mean length of a run of lost packets (Gilbert-Elliott)."""

    rate_kbit_s: Number
    queue_ms: Number
    """Packets that would wait longer are dropped."""

    stall_interval_s: Number
    """Mean time between stalls of this link; 0: none. Packets wait until its end."""

    stall_min_ms: Number
    stall_max_ms: Number

    busy_interval_s: Number
    """Mean time between busy spells of the cell, shared by its commune; 0: none."""

    busy_min_s: Number
    busy_max_s: Number
    busy_delay_ms: Number
    """Mean of what a busy spell adds to every packet."""

    outage_interval_s: Number
    """Mean time between outages of the cell, shared by its commune; 0: none. All is lost."""

    outage_min_s: Number
    outage_max_s: Number

    cell_kbit_s: Number | None = None
    """What all nodes of a commune on this bearer have together; without it each has its own rate
    and nobody knows whether that is true."""

    attach_s: Number | None = None
    """From power to the first packet: the modem boots, searches and registers while the board boots
    too; without it no longer than the board takes."""

    sleep: Sleep | None = None
    """When its modem sleeps (table `[sleep]`); without it, never."""

    def __post_init__(self) -> None:
        rules = not_negative(self)
        loss = self.loss_pct.value
        burst = self.loss_burst_packets.value
        rules["loss_pct.value"] = (0 <= loss <= 100, loss, "0 to 100")
        # Shorter bursts would have to follow each other without a packet between them.
        shortest = max(1.0, loss / (100 - loss)) if 0 <= loss < 100 else 1.0
        rules["loss_burst_packets.value"] = (
            shortest <= burst <= 10_000,
            burst,
            f"{shortest:g} to 10000 with {loss:g} % loss",
        )
        rate = self.rate_kbit_s.value
        rules["rate_kbit_s.value"] = (8 <= rate <= 10_000_000, rate, "8 to 10000000")
        if self.cell_kbit_s is not None:
            cell = self.cell_kbit_s.value
            rules["cell_kbit_s.value"] = (8 <= cell <= 10_000_000, cell, "8 to 10000000")
        for kind, unit in (("stall", "ms"), ("busy", "s"), ("outage", "s")):
            low = getattr(self, f"{kind}_min_{unit}").value
            high = getattr(self, f"{kind}_max_{unit}").value
            rules[f"{kind}_max_{unit}.value"] = (
                high >= low >= 0,
                high,
                f"at least {kind}_min_{unit} = {low}",
            )
        check("bearer", rules)

    def figures(self) -> "list[tuple[str, Number | Whole | Switch]]":
        """Return (field, figure) of every number."""
        return [*figures(self), *([] if self.sleep is None else self.sleep.figures())]


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all bearers that ship, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(name: str, *, folder: Path = FOLDER) -> Bearer:
    """Load one bearer by name.

    Raises
    ------
    ConfigError
        With one line per fault: file, field, value, and what would be right.
    """
    known = names(folder)
    if name not in known:
        raise ConfigError(f"bearer {name!r} is unknown; known are: {', '.join(known)}")
    errors: list[str] = []
    path = folder / f"{name}.toml"
    bearer = build(Bearer, read_toml(path, errors), where=shown(name), errors=errors)
    require(errors)
    assert bearer is not None
    return bearer


def shown(name: str) -> str:
    """Return the file of a bearer that ships, relative to the repository."""
    return f"sim/links/bearers/{name}.toml"
