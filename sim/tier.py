"""Which tier answers: T2, node by node with sound, or T3, the fleet. A day is lived by T1."""

from dataclasses import dataclass
from typing import Final

from node.config import ConfigError
from sim.fleet.run import why_not
from sim.village.course import not_lived
from sim.village.scenario import Scenario

DRIVE: Final = "drive"
FLEET: Final = "fleet"

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
        `auto`, `drive` or `fleet`.
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


WORLD: Final = Tier("world", "whole daemons with broker, sessions and disks")
"""What lives a day."""
