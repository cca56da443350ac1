"""Names of places and items are the same however a keyboard wrote them.

A Mac writes a letter and its accents apart (NFD), a PC as one (NFC), and the tone of a Vietnamese
syllable stands on one vowel or on the next: Hoà and Hòa are one name.
"""

import unicodedata
from functools import lru_cache
from typing import Final

_TONES: Final = frozenset("\u0300\u0301\u0303\u0309\u0323")
"""Grave, acute, tilde, hook above, dot below: the five tones that are written."""


def composed(name: str) -> str:
    """Return `name` with each letter and its accents as one: areas, villages, zones."""
    return unicodedata.normalize("NFC", name)


def written(name: str) -> str:
    """Return `name` as it is shown and kept: composed, without blanks around and doubled."""
    return composed(" ".join(name.split()))


def same_name(one: str | None, other: str | None) -> bool:
    """Return whether two names of places are one; None is none."""
    return one is not None and other is not None and _sound(one) == _sound(other)


@lru_cache(maxsize=256)  # streams are looked up by name at each deadline
def _sound(name: str) -> tuple[tuple[str, str], ...]:
    """Return each word as its letters and its tone, wherever in it the tone is written."""
    words = unicodedata.normalize("NFD", name.casefold()).split()
    return tuple(
        (
            "".join(letter for letter in word if letter not in _TONES),
            "".join(letter for letter in word if letter in _TONES),
        )
        for word in words
    )
