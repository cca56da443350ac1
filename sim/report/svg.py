"""Write SVG by hand: escaped elements, and axes with round numbers."""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """Return one element; `font_size` becomes `font-size`, `class_` becomes `class`.

    Children that are not `Markup` are escaped. Floats are written with at most two decimals: a
    hundredth of a pixel is not seen, and the page stays small.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"')
    inner = Markup("").join(children)
    return Markup(f"<{' '.join(words)}>{inner}</{name}>")  # its parts are escaped


def picture(width: float, height: float, *children: str, title: str, class_: str = "") -> Markup:
    """Return a whole drawing with a `viewBox`; `title` is what a screen reader says."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        class_=class_ or None,
        role="img",
        aria_label=title,
    )


def text(x: float, y: float, words: str, **attributes: object) -> Markup:
    """Return a text at a point."""
    return tag("text", words, x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Markup:
    """Return a straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def path(points: list[tuple[float, float]], **attributes: object) -> Markup:
    """Return an open path through `points`."""
    way = "M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
    return tag("path", d=way, **attributes)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`."""
        span = self.high - self.low
        return self.start + (value - self.low) / (span or 1.0) * (self.end - self.start)

    def ticks(self, count: int) -> list[float]:
        """Return about `count` round values inside the scale: steps of 1, 2 or 5 times 10^n."""
        step = round_step((self.high - self.low) / max(count, 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def round_step(rough: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below `rough`."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1, 2, 5) if m * power >= rough * (1 - 1e-9)), 10 * power)


def number(value: float | None, decimals: int = 0) -> str:
    """Return a number for people: thin spaces between thousands, a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.{decimals}f}".replace(",", "\u202f").replace("-", "\u2212")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
