"""The pictures of a sweep: odds by time, by hour and by variant, each with its band."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from sim.report.svg import Scale, line, path, picture, tag, text
from sim.sweep.interval import Estimate
from sim.sweep.odds import VariantOdds

_LEFT, _TOP, _RIGHT, _BOTTOM = 46.0, 14.0, 14.0, 40.0
_COLOURS = 6


def by_time(variants: Sequence[VariantOdds], *, width: float, height: float) -> Markup:
    """Draw the odds that 95 % of the clusters have an order so long after it."""
    title = "Odds that 95 % of the clusters have an order, by the time since it"
    drawn = [one for one in variants if one.by_time]
    if not drawn:
        return Markup("")
    times = [t for t, _ in drawn[0].by_time]
    across = Scale(math.log10(times[0]), math.log10(times[-1]), _LEFT, width - _RIGHT)
    up = Scale(0, 100, height - _BOTTOM, _TOP)
    parts = _grid(up, width)
    for t in times:
        x = across(math.log10(t))
        parts.append(line(x, _TOP, x, height - _BOTTOM, class_="grid"))
        if width > 500 or t in (1, 10, 60, 600, 3600):
            parts.append(
                text(x, height - _BOTTOM + 16, f"{t}", class_="tick", text_anchor="middle")
            )
    parts.append(
        text(width / 2, height - 7, "seconds after the order", class_="tick", text_anchor="middle")
    )
    for i, one in enumerate(drawn):
        points = [(across(math.log10(t)), value) for t, value in one.by_time]
        parts.append(_band(one.label, points, up, i))
    return picture(width, height, *parts, title=title, class_="cdf")


def by_hour(variants: Sequence[VariantOdds], *, width: float, height: float) -> Markup:
    """Draw the odds that 95 % of the clusters are warned in time, by the hour of the order."""
    title = "Odds that 95 % of the clusters are warned in time, by the hour of the order"
    drawn = [one for one in variants if one.by_hour]
    if not drawn:
        return Markup("")
    across = Scale(0, 23, _LEFT + 10, width - _RIGHT - 10)
    up = Scale(0, 100, height - _BOTTOM, _TOP)
    parts = _grid(up, width)
    step = 3 if width > 500 else 6
    for hour in range(0, 24, step):
        parts.append(
            text(
                across(hour), height - _BOTTOM + 16, f"{hour}", class_="tick", text_anchor="middle"
            )
        )
    parts.append(
        text(width / 2, height - 7, "hour of the order", class_="tick", text_anchor="middle")
    )
    for i, one in enumerate(drawn):
        points = [(across(hour), value) for hour, value in enumerate(one.by_hour)]
        parts.append(_band(one.label, points, up, i))
    return picture(width, height, *parts, title=title, class_="cdf")


def by_variant(variants: Sequence[VariantOdds], name: str, *, width: float) -> Markup:
    """Draw one figure of each variant as a point on its interval."""
    drawn = [one for one in variants if name in one.figures]
    if not drawn:
        return Markup("")
    left = min(320.0, width * 0.45)
    height = 30.0 * len(drawn) + 34
    across = Scale(0, 100, left, width - _RIGHT - 10)
    parts: list[Markup] = []
    for tick in (0, 25, 50, 75, 100):
        x = across(tick)
        parts.append(line(x, 0, x, height - 34, class_="grid"))
        parts.append(text(x, height - 16, f"{tick} %", class_="tick", text_anchor="middle"))
    for i, one in enumerate(drawn):
        y = 15 + 30.0 * i
        value = one.figures[name]
        low, at, high = (across(100 * v) for v in (value.low, value.value, value.high))
        parts.append(text(left - 10, y + 4, one.label, class_="label", text_anchor="end"))
        style = f"curve b{i % _COLOURS}"
        said = f"{one.label}: {100 * value.value:.1f} %"
        parts.append(tag("g", tag("title", said), path([(low, y), (high, y)], class_=style)))
        parts.append(tag("circle", cx=at, cy=y, r=5, class_="dot d0"))
    return picture(width, height, *parts, title="Odds by variant", class_="stages")


def _grid(up: Scale, width: float) -> list[Markup]:
    parts = []
    for value in (0, 25, 50, 75, 100):
        y = up(value)
        parts.append(line(_LEFT, y, width - _RIGHT, y, class_="grid"))
        parts.append(text(_LEFT - 8, y + 4, f"{value} %", class_="tick", text_anchor="end"))
    return parts


def _band(label: str, points: Sequence[tuple[float, Estimate]], up: Scale, number: int) -> Markup:
    """Return a curve in the middle of its band."""
    middle = [(x, up(100 * one.value)) for x, one in points]
    edge = [(x, up(100 * one.high)) for x, one in points]
    edge += [(x, up(100 * one.low)) for x, one in reversed(points)]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in edge)
    return tag(
        "g",
        tag("title", label),
        tag("polygon", points=corners, class_=f"band b{number % _COLOURS}"),
        path(middle, class_=f"curve b{number % _COLOURS}"),
    )
