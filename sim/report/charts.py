"""The two figures of delay: its distribution by link type, and the stages it is made of."""

import statistics
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from sim.report.budgets import MOUTH_TO_EAR_P99_MAX_MS
from sim.report.classes import STAGE_NAMES, bearer_name
from sim.report.svg import Scale, line, number, path, picture, round_step, tag, text
from sim.result.run import STAGES, NodeRow

ZOOM_MIN: Final = 0.12
"""When the curves would fill less than this share of the axis, the axis follows the curves."""

LABEL_MIN_PX: Final = 26.0
"""A stage narrower than this is named in the legend only."""


LABEL_ROOM_PX: Final = 110.0


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float


def delay_distribution(
    quantiles_ms: dict[str, list[float]], *, width: float, height: float
) -> Markup:
    """Draw the share of the sound that is out within a delay, one curve per link type.

    Parameters
    ----------
    quantiles_ms : dict
        Per link type, the delay in ms at evenly spaced shares of the audio, 0 to 100 percent.
    width, height : float
        Size of the drawing in CSS pixels at scale 1.
    """
    known = {name: values for name, values in quantiles_ms.items() if values}
    title = "Share of the sound that is out within a delay, by link type"
    box = _Box(46, 14, width - 14, height - 40)
    if not known:
        return picture(width, height, _centred(width, height, "nothing played"), title=title)
    across = _delay_axis(known, box)
    up = Scale(0, 100, box.bottom, box.top)
    parts = [*_grid_across(across, box, "mouth-to-ear delay, ms"), *_grid_up(up, box)]
    parts += _budget_line(across, box)
    for i, (name, values) in enumerate(known.items()):
        step = 100 / (len(values) - 1) if len(values) > 1 else 100
        curve = [(across(value), up(step * q)) for q, value in enumerate(values)]
        curve = [(across(across.low), up(0)), (curve[0][0], up(0)), *curve]
        curve.append((across(across.high), up(100)))
        label = tag("title", f"{bearer_name(name)}: half within {number(_at(values, 50))} ms")
        parts.append(tag("g", label, path(curve, class_=f"curve b{i % 6}")))
    return picture(width, height, *parts, title=title, class_="cdf")


def stage_bars(rows: list[NodeRow], *, width: float) -> Markup:
    """Draw what the mean mouth-to-ear delay is made of: one bar for all, one per link type."""
    heard = [row for row in rows if row.mouth_to_ear_mean_ms is not None]
    title = "Stages of the mean mouth-to-ear delay"
    if not heard:
        return picture(width, 60, _centred(width, 60, "nothing played"), title=title)
    groups: dict[str, list[NodeRow]] = {"All clusters": heard}
    for row in heard:
        groups.setdefault(bearer_name(row.bearer), []).append(row)
    means = {name: _stage_means(group) for name, group in groups.items()}
    left = 112.0 if width < 500 else 148.0
    height = 38.0 * len(means) + 34
    longest = max(sum(stages) for stages in means.values())
    across = Scale(0, longest, left, width - 62)
    parts: list[Markup] = []
    for i, (name, stages) in enumerate(means.items()):
        parts += _bar(name, stages, across=across, y=6 + 38.0 * i)
    box = _Box(left, 0, width - 62, height - 34)
    parts = [*_grid_across(across, box, "ms"), *parts]
    return picture(width, height, *parts, title=title, class_="stages")


def _delay_axis(known: dict[str, list[float]], box: _Box) -> Scale:
    """Return an axis from 0 to the budget, or around the curves when they would be a wall."""
    low = min(values[0] for values in known.values())
    high = max(values[-1] for values in known.values())
    whole = max(high, MOUTH_TO_EAR_P99_MAX_MS) * 1.04
    if (high - low) / whole >= ZOOM_MIN:
        return Scale(0, whole, box.left, box.right)
    step = round_step(max(high - low, 10.0) / 4)
    first = step * (low // step)
    return Scale(max(0.0, first - step), step * (high // step + 2), box.left, box.right)


def _budget_line(across: Scale, box: _Box) -> list[Markup]:
    label = f"budget {number(MOUTH_TO_EAR_P99_MAX_MS)} ms"
    if across.high < MOUTH_TO_EAR_P99_MAX_MS:
        return [
            text(box.right - 4, box.bottom - 8, f"{label} →", class_="budget", text_anchor="end")
        ]
    x = across(MOUTH_TO_EAR_P99_MAX_MS)
    room = x + LABEL_ROOM_PX < box.right  # to the left of it stand the curves
    side, anchor = (x + 6, "start") if room else (x - 6, "end")
    return [
        line(x, box.top, x, box.bottom, class_="budget"),
        text(side, box.bottom - 8, label, class_="budget", text_anchor=anchor),
    ]


def _grid_across(across: Scale, box: _Box, unit: str) -> list[Markup]:
    count = max(4, int((box.right - box.left) / 80))
    parts = []
    for value in across.ticks(count):
        x = across(value)
        parts.append(line(x, box.top, x, box.bottom, class_="grid"))
        parts.append(text(x, box.bottom + 16, number(value), class_="tick", text_anchor="middle"))
    end = (box.left + box.right) / 2
    parts.append(text(end, box.bottom + 33, unit, class_="tick", text_anchor="middle"))
    return parts


def _grid_up(up: Scale, box: _Box) -> list[Markup]:
    parts = []
    for value in (0, 25, 50, 75, 100):
        y = up(value)
        parts.append(line(box.left, y, box.right, y, class_="grid"))
        parts.append(text(box.left - 8, y + 4, f"{value} %", class_="tick", text_anchor="end"))
    return parts


def _bar(name: str, stages: list[float], *, across: Scale, y: float) -> list[Markup]:
    parts = [text(across.start - 10, y + 18, name, class_="label", text_anchor="end")]
    begin = 0.0
    for i, value in enumerate(stages):
        x, end = across(begin), across(begin + value)
        title = tag("title", f"{STAGE_NAMES[STAGES[i]]}: {number(value, 1)} ms")
        one = [
            title,
            tag("rect", x=x, y=y, width=max(end - x, 0.0), height=26, class_=f"s{i}"),
        ]
        if end - x >= LABEL_MIN_PX:
            middle = (x + end) / 2
            one.append(
                text(middle, y + 17.5, number(value), class_=f"on s{i}t", text_anchor="middle")
            )
        parts.append(tag("g", *one))
        begin += value
    parts.append(text(across(begin) + 8, y + 18, number(begin), class_="sum"))
    return parts


def _stage_means(rows: list[NodeRow]) -> list[float]:
    return [statistics.fmean(getattr(row, stage) or 0.0 for row in rows) for stage in STAGES]


def _at(values: list[float], percent: int) -> float:
    return values[round((len(values) - 1) * percent / 100)]


def _centred(width: float, height: float, words: str) -> Markup:
    return text(width / 2, height / 2, words, class_="tick", text_anchor="middle")
