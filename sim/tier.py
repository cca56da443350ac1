"""Which tier answers: T2, node by node with sound, T3, the fleet, or of a day T1, the world."""

from dataclasses import dataclass
from typing import Final

from node.config import ConfigError
from sim.fleet.run import why_not
from sim.village.course import in_fast_day, not_lived
from sim.village.scenario import Scenario

AUTO: Final = "auto"
DRIVE: Final = "drive"
FLEET: Final = "fleet"
WORLD: Final = "world"
NODES: Final = "nodes"
"""Of a day."""
TIERS: Final = (AUTO, DRIVE, FLEET, WORLD)

MANY: Final = 400
"""Above so many clusters nobody listens to one: the page shows only the worst."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The tier that was chosen, and why."""

    name: str
    why: str

    def said(self, what: str = "") -> str:
        """Return it in one line."""
        return f"tier{what}: {self.name}: {self.why}"


def choose(asked: str, scenario: Scenario, *, replay: bool, sound: bool = True) -> Tier:
    """Return the tier for a run.

    Parameters
    ----------
    asked : str
        One of TIERS. The world is for a day: the run beside it is as with `auto`.
    scenario : Scenario
        What is asked.
    replay : bool
        Whether its worst minutes are to be played back.
    sound : bool
        Whether any is to be made.

    Raises
    ------
    ConfigError
        When the fleet is asked for what it cannot say; one line per fault.
    """
    cannot = [*why_not(scenario), *not_lived(scenario, "fleet")]
    if replay:
        cannot.append(f"{scenario.name}: --replay: tier fleet makes no sound; --tier drive does")
    if asked == FLEET and cannot:
        raise ConfigError("\n".join(cannot))
    if asked == FLEET:
        return Tier(FLEET, "asked for; it counts, and makes no sound")
    if asked == DRIVE:
        return Tier(DRIVE, "asked for")
    many = sum(1 for _ in scenario.clusters()) > MANY
    if many and not cannot:
        return Tier(FLEET, f"above {MANY} clusters; it counts, and makes no sound")
    if many:
        return Tier(DRIVE, f"slow for so many clusters, but: {'; '.join(cannot)}")
    if not sound and not cannot:
        return Tier(FLEET, "nothing is to be heard; it counts the same, many times as fast")
    return Tier(DRIVE, f"node by node, up to {MANY} clusters")


def choose_day(asked: str, scenario: Scenario) -> Tier:
    """Return the tier for a day: node by node, or whole daemons where a fault needs them.

    Raises
    ------
    ConfigError
        When a tier is asked for that does not live one of the faults; one line each.
    """
    cannot = not_lived(scenario, "fast_day")
    if asked == WORLD:
        return Tier(WORLD, "asked for: whole daemons with broker, sessions and disks")
    if cannot and asked != AUTO:
        raise ConfigError("\n".join(cannot))
    if cannot:
        kinds = ", ".join(
            dict.fromkeys(one.said for one in scenario.faults if not in_fast_day(one))
        )
        return Tier(WORLD, f"whole daemons with broker, sessions and disks, for {kinds}")
    return Tier(NODES, "node by node, for all its faults can be lived so")
