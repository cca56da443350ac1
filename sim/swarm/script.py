"""What happens in one history of the swarm, as data: a village, orders and faults by the clock.

A file of it replays the history to the bit. Steps that are left out change nothing of the others:
every order has its own counter, and chance belongs to places and not to the order of draws.
"""

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal

import hw_profiles
from node.config import ConfigError, build, check, require
from node.control.civil_time import parse_time
from node.shell.faults import ShellError
from node.shell.files import read_text
from sim.links import bearer as bearers
from sim.village.faults import Kind

Act = Literal[
    Kind, "alert", "cancel", "mute", "unmute", "revoke", "live", "corrupted", "sender_restart",
    "skip_ahead",
]  # fmt: skip
"""Faults are those of a scenario's table."""

ORDERS: Final = ("alert", "cancel", "mute", "unmute", "revoke", "live")
ATTACKS: Final = ("forged", "corrupted", "replayed")
SENDER_FAULTS: Final = ("sender_restart", "skip_ahead")
"""Of the sender of a live programme: `about` is the number of its order."""

SHARES: Final = ("congestion", "cpu_throttle", "duplicate", "reorder", "corrupt")

EVENTS: Final = ("FFW", "TOR", "HUW", "FRW", "TSW", "LAE")
"""Event codes of warnings: each has a siren and words of its own tone."""

Tier = Literal["province", "commune"]

TIERS: Final[tuple[Tier, ...]] = ("province", "commune")

SETTLE_S: Final = 75.0
"""From the last thing that happens to the end: by then all must be in step."""

LAST_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pole:
    """One pole (table `[[poles]]`)."""

    name: str
    profile: str = "pi_4b_i2s"
    bearer: str = "ftth"
    clock: bool = True
    """Whether its board keeps the time without power."""

    def __post_init__(self) -> None:
        profiles, links = hw_profiles.names(), bearers.names()
        check(
            "poles",
            {
                "name": (self.name.isalnum(), self.name, "letters and digits"),
                "profile": (self.profile in profiles, self.profile, f"one of {profiles}"),
                "bearer": (self.bearer in links, self.bearer, f"one of {links}"),
            },
        )

    @property
    def back_s(self) -> float:
        """Return how long after a power cut its board has booted and its modem attached."""
        attach_s = bearers.load(self.bearer).attach_s
        boot_s = float(hw_profiles.load(self.profile).board.boot_s.value)
        return boot_s if attach_s is None else max(boot_s, attach_s.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One order or one fault (table `[[steps]]`)."""

    at_s: float
    """After the begin."""

    do: Act
    pole: str = ""
    """Only there; empty: everywhere."""

    for_s: float = 0.0
    """How long a fault lasts, or a live programme."""

    by: Tier = "commune"
    """Who orders; of a revocation, whose key."""

    number: int = 0
    """Of an order, each its own."""

    about: int = 0
    """Number of the order that a cancel ends, a stranger sends again, or a sender streams for."""

    event: str = ""
    priority: bool = False
    """A warning that is not urgent."""

    lasts_s: int = 60
    ttl_s: int = 120
    way: Literal["both", "up", "down"] = "both"
    """Which way a link is down: from the pole or to it."""

    amount: float = 0.0
    """Seconds of a clock step, of a slow write, that a way is longer, or that a sender skips; share
    of the rate or the speed that is left, or of the packets that are damaged, doubled or late."""

    held_s: float = 0.0
    """How long packets are held back that are overtaken."""

    keeps: bool = True
    """Whether the broker comes back with its database."""

    reports: bool = True
    """Whether the sender of a live programme speaks RTCP: reports, time, what was lost again."""

    def __post_init__(self) -> None:
        events = ", ".join(EVENTS)
        check(
            "steps",
            {
                "at_s": (0 <= self.at_s <= LAST_S, self.at_s, f"0 to {LAST_S:g}"),
                "for_s": (0 <= self.for_s <= LAST_S, self.for_s, f"0 to {LAST_S:g}"),
                "event": (self.event in ("", *EVENTS), self.event, f"one of {events}"),
                "number": (0 <= self.number < 1 << 16, self.number, "0 to 65535"),
                "about": (0 <= self.about < 1 << 16, self.about, "0 to 65535"),
                "lasts_s": (1 <= self.lasts_s <= LAST_S, self.lasts_s, f"1 to {LAST_S:g}"),
                "ttl_s": (1 <= self.ttl_s <= LAST_S, self.ttl_s, f"1 to {LAST_S:g}"),
                "amount": (abs(self.amount) <= 86_400, self.amount, "-86400 to 86400"),
                "held_s": (0 <= self.held_s <= 60, self.held_s, "0 to 60"),
                "amount of a share": (
                    self.do not in SHARES or 0.001 <= self.amount <= 1,
                    self.amount,
                    "0.001 to 1",
                ),
            },
        )

    @property
    def end_s(self) -> float:
        """Return when the fault is over."""
        return self.at_s + self.for_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One history."""

    seed: int
    """Of the links and crystals."""

    poles: tuple[Pole, ...]
    steps: tuple[Step, ...] = ()
    begin: str = "17:30"
    """Wall clock of the village at its begin."""

    breaks: str = ""
    """The rule that it was found to break."""

    def __post_init__(self) -> None:
        names = [one.name for one in self.poles]
        orders = [one.number for one in self.steps if one.do in ORDERS]
        known = ["", *names]
        check(
            "swarm",
            {
                "seed": (0 <= self.seed < 1 << 63, self.seed, "0 or more, below 2**63"),
                "begin": (parse_time(self.begin) is not None, self.begin, "hh:mm"),
                "poles": (0 < len(set(names)) == len(names), names, "one or more, named apart"),
                "steps.pole": (
                    all(one.pole in known for one in self.steps),
                    [one.pole for one in self.steps],
                    f"among {known}",
                ),
                "steps.number": (
                    len(set(orders)) == len(orders),
                    orders,
                    "another for each order",
                ),
            },
        )

    @property
    def healed_s(self) -> float:
        """Return when the last fault is over and every pole that was cut off is there again."""
        back_s = {one.name: one.back_s for one in self.poles}
        ends = [0.0]
        for one in self.steps:
            cut = one.do == "power_cut"
            names = [one.pole] if one.pole else list(back_s)
            ends.append(one.end_s + (max(back_s[name] for name in names) if cut else 0.0))
        return max(ends)

    @property
    def end_s(self) -> float:
        """Return when all must be over."""
        lasts = [one.at_s + one.lasts_s for one in self.steps if one.do == "alert"]
        return max([self.healed_s, *lasts]) + SETTLE_S


def read(path: Path) -> Script:
    """Read a script.

    Raises
    ------
    ConfigError
        With a line for each fault.
    """
    try:
        table = tomllib.loads(read_text(path))
    except ShellError as fault:
        raise ConfigError(str(fault)) from fault
    except (ValueError, RecursionError) as fault:
        raise ConfigError(f"{path}: not TOML: {fault}") from fault
    return built(table, where=path.name)


def built(table: dict[str, object], *, where: str) -> Script:
    """Return the script in a TOML table; `ConfigError` names what is wrong."""
    errors: list[str] = []
    script = build(Script, table, where=where, errors=errors)
    require(errors)
    assert script is not None
    return script


def written(script: Script) -> str:
    """Return the TOML text that reads back as `script`."""
    lines = [f"{name} = {_value(getattr(script, name))}" for name in ("seed", "begin")]
    if script.breaks:
        lines.append(f"breaks = {_value(script.breaks)}")
    for table, rows in (("poles", script.poles), ("steps", script.steps)):
        for row in rows:
            lines += ["", f"[[{table}]]"]
            for one in fields(row):
                value = getattr(row, one.name)
                if value != one.default:
                    lines.append(f"{one.name} = {_value(value)}")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
