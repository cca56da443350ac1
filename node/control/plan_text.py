"""Read the TOML of a signed plan within bounds that its writer cannot stretch.

A reader of TOML takes what it is given: one key of a hundred thousand dots fills the memory, a list
of empty tables takes seconds. A calendar that people made is far from these limits.
"""

import re
import tomllib
from typing import Any, Final

from node.config import ConfigError

PLAN_BYTES_MAX: Final = 192 * 1024
"""64 items of 8 parts in two languages are 100 KiB."""

COUNTS_MAX: Final = {"[": 1500, "{": 2300, ",": 12_000, "=": 12_000, "\n": 12_000}
"""Marks of a text: each may begin something that is made, kept and checked."""

DOTS_MAX: Final = 64
"""In a line. Each makes a table, and all the names before it are kept with it."""

_DIGITS: Final = re.compile(r"[0-9a-fA-F_]{65}")
"""A stored sound is 64; a longer number cannot even be printed."""


def read_plan_text(data: bytes) -> dict[str, Any]:
    """Return the table in `data`.

    Raises
    ------
    ConfigError
        If it is no TOML, or more than a plan can have.
    """
    if len(data) > PLAN_BYTES_MAX:
        raise ConfigError(f"{len(data)} bytes: a plan has at most {PLAN_BYTES_MAX}")
    text = data.decode("utf-8-sig", "replace")
    for mark, most in COUNTS_MAX.items():
        if text.count(mark) > most:
            raise ConfigError(f"more than {most} of {mark!r}: make it a smaller plan")
    if any(line.count(".") > DOTS_MAX for line in text.splitlines()):
        raise ConfigError(f"a line with more than {DOTS_MAX} dots")
    if _DIGITS.search(text):
        raise ConfigError("a number of more than 64 digits")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ConfigError(f"not TOML: {fault}"[:200]) from None
