"""What a gateway is made of. Every number says where it comes from and whether it was checked."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final, cast

from node.config import check

FIGURE_MAX: Final = 1e9
"""No figure of a profile or a bearer is larger, whatever its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A figure with its origin; the unit is the last word of its field."""

    value: float
    source: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number with its origin."""

    value: int
    source: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A yes or no with its origin."""

    value: bool
    source: str
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The computer (file in `boards/`)."""

    title: str

    receive_us: Number
    """CPU time per datagram: interrupt, socket, parse, jitter buffer."""

    decode_us: Number
    """CPU time per 20 ms of Opus, mono."""

    render_us: Number
    """CPU time per period apart from decoding: resampler, mixer, limiter, copy."""

    wake_p50_us: Number
    """Median time between the tick of the sound card and the audio thread running."""

    wake_max_us: Number
    """What that time stays below in all but one of 8192 periods."""

    clock_sigma_ppm: Number
    """Spread of the crystals of a batch."""

    clock_max_ppm: Number
    """What the maker sorts out."""

    clock_curve_ppb_per_k2: Number
    """Parabola of a crystal about 25 degrees Celsius."""

    clock_wander_ppb: Number
    """Change of frequency per minute, one standard deviation."""

    has_rtc: Switch
    boot_s: Number
    """Power on to a node that plays."""

    def __post_init__(self) -> None:
        check("board", not_negative(self, "clock_curve_ppb_per_k2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundCard:
    """The converter (file in `sound_cards/`)."""

    title: str

    rate_hz: Whole
    period_samples: Whole
    periods: Whole
    """Periods between the application and the converter; the newest is the one being filled."""

    device_latency_ms: Number
    """Beyond the periods: bus, filter of the converter."""

    own_crystal: Switch
    """False: its clock is derived from the board's crystal."""

    clock_sigma_ppm: Number

    def __post_init__(self) -> None:
        rules = not_negative(self)
        rules["rate_hz.value"] = (self.rate_hz.value == 48_000, self.rate_hz.value, "48000")
        size = self.period_samples.value
        rules["period_samples.value"] = (32 <= size <= 4800, size, "32 to 4800")
        rules["periods.value"] = (
            2 <= self.periods.value <= 16,
            self.periods.value,
            "2 to 16",
        )
        check("sound_card", rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amplifier:
    """The amplifier (file in `amplifiers/`)."""

    title: str

    power_w: Number
    """Of all its channels together; each horn gets its share and no more than it takes."""

    mute_release_s: Number
    """It mutes in silence; from the first sample after that to the first that leaves the horn."""

    thermal_limit_db: Number
    """Mean power that it sheds for hours, re that of a full-scale sine; -40 to 0."""

    def __post_init__(self) -> None:
        rules = not_negative(self, "thermal_limit_db")
        power_w = self.power_w.value
        rules["power_w.value"] = (1 <= power_w <= 100_000, power_w, "1 to 100000")
        limit_db = self.thermal_limit_db.value
        rules["thermal_limit_db.value"] = (-40 <= limit_db <= 0, limit_db, "-40 to 0")
        check("amplifier", rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horn:
    """What hangs on the pole (file in `horns/`)."""

    title: str

    sensitivity_db_spl: Number
    """At 1 W and 1 m on the axis."""

    power_w: Number
    """What it takes; from an amplifier that gives less it gets that."""

    low_hz: Number
    """Below it the horn moves too far and gives no sound."""

    per_pole: Whole

    def __post_init__(self) -> None:
        rules = not_negative(self)
        level_db, power_w, count = (
            one.value for one in (self.sensitivity_db_spl, self.power_w, self.per_pole)
        )
        rules["sensitivity_db_spl.value"] = (60 <= level_db <= 130, level_db, "60 to 130")
        rules["power_w.value"] = (0.01 <= power_w <= 1000, power_w, "0.01 to 1000")
        low_hz = self.low_hz.value
        rules["low_hz.value"] = (20 <= low_hz <= 2000, low_hz, "20 to 2000")
        rules["per_pole.value"] = (1 <= count <= 16, count, "1 to 16")
        check("horn", rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One gateway model: a board, a sound card, an amplifier and horns."""

    name: str
    board: Board
    sound_card: SoundCard
    amplifier: Amplifier
    horn: Horn
    paths: tuple[tuple[str, str], ...]
    """(part, file relative to the repository) of `board`, `sound_card`, `amplifier`, `horn`."""

    def figures(self) -> Iterator[tuple[str, str, Number | Whole | Switch]]:
        """Yield (file, field, figure) of every number in the profile."""
        for part, path in self.paths:
            for name, figure in figures(getattr(self, part)):
                yield path, name, figure


def figures(part: object) -> Iterator[tuple[str, Number | Whole | Switch]]:
    """Yield (field, figure) of every field of the dataclass `part` that carries a source."""
    for one in fields(cast(type, part)):
        value = getattr(part, one.name)
        if isinstance(value, Number | Whole | Switch):
            yield one.name, value


def not_negative(part: object, *signed: str) -> dict[str, tuple[bool, object, str]]:
    """Return the rules that each figure of `part` is in bounds; those in `signed` may be below 0.

    TOML knows inf and nan: neither is in bounds.
    """
    return {
        f"{name}.value": (
            (-FIGURE_MAX if name in signed else 0) <= figure.value <= FIGURE_MAX,
            figure.value,
            f"at most {FIGURE_MAX:g} either way" if name in signed else f"0 to {FIGURE_MAX:g}",
        )
        for name, figure in figures(part)
    }
