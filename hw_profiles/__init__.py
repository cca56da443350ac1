"""Hardware profiles: one gateway model per TOML file, each number with source and verified."""

from hw_profiles.loader import FOLDER, load, names
from hw_profiles.model import Amplifier, Board, Horn, Number, Profile, SoundCard, Switch, Whole

__all__ = [
    "FOLDER",
    "Amplifier",
    "Board",
    "Horn",
    "Number",
    "Profile",
    "SoundCard",
    "Switch",
    "Whole",
    "load",
    "names",
]
