"""What Home Assistant wishes: the payloads of its MQTT siren and number, or nothing."""

import json
from dataclasses import dataclass
from typing import Any, Final

from node.shell.station.assistant.entities import VOLUME_MAX, VOLUME_MIN

BYTES_MAX: Final = 1024
LASTS_S: Final = 300
LASTS_MAX_S: Final = 600
"""Where no duration is given, and at most: with it a siren ends by itself at the node."""


@dataclass(frozen=True, slots=True)
class SirenWish:
    """The siren is to sound, or to be silent."""

    on: bool
    tone: str | None = None
    lasts_s: int = LASTS_S
    volume: int | None = None


def read_siren(payload: bytes, tones: tuple[str, ...]) -> SirenWish | str:
    """Return what is wished of a siren, or what is wrong with the payload. Never raises."""
    if payload in (b"ON", b"OFF"):
        return SirenWish(payload == b"ON")
    if len(payload) > BYTES_MAX:
        return "too long"
    try:
        table: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return "no JSON"
    if not isinstance(table, dict) or table.get("state") not in ("ON", "OFF"):
        return "no state ON or OFF"
    if table["state"] == "OFF":
        return SirenWish(False)
    tone, lasts_s, level = (table.get(one) for one in ("tone", "duration", "volume_level"))
    if tone is not None and tone not in tones:
        return "a tone that is not offered"
    if lasts_s is not None and not (_is_number(lasts_s) and lasts_s >= 1):
        return "a duration that is not at least 1 s"
    if level is not None and not (_is_number(level) and 0 <= level <= 1):
        return "a volume level that is not 0 to 1"
    volume = None if level is None else max(round(level * VOLUME_MAX), VOLUME_MIN)
    lasts_s = LASTS_S if lasts_s is None else int(min(lasts_s, LASTS_MAX_S))
    return SirenWish(True, tone, lasts_s, volume)


def read_volume(payload: bytes) -> int | str:
    """Return the volume that is wished, or what is wrong with the payload. Never raises."""
    try:
        value = float(payload) if len(payload) <= 16 else -1.0
    except ValueError:
        return "no number"
    if not VOLUME_MIN <= value <= VOLUME_MAX:
        return f"a volume that is not {VOLUME_MIN} to {VOLUME_MAX}"
    return round(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
