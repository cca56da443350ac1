"""One hamlet's day as a strip: the limit in force, what was asked, what was played, the volume."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from node.control.precedence import CLASSES
from sim.report.svg import Scale, line, path, picture, tag, text
from sim.result.day import DaySpan, DayVolume
from sim.result.wall_clock import WallClock

LOW_DBA: Final = 40.0
HIGH_DBA: Final = 90.0
HEIGHT_PX: Final = 92.0
BAR_MIN_PX: Final = 3.0
"""A warning of a minute is still to be seen."""

_LEFT_PX: Final = 30.0
_TOP_PX: Final = 8.0
_BOTTOM_PX: Final = 58.0
_VOLUME_PX: Final = 14.0
_GAP_PX: Final = 4.0


@dataclass(frozen=True, slots=True)
class _Bar:
    """An item of a hamlet: its clusters together."""

    from_s: float
    until_s: float
    item: str
    message_class: str
    asked_dba: float | None
    played_dba: float | None


def day_strip(
    spans: Sequence[DaySpan],
    volumes: Sequence[DayVolume],
    silent_s: Sequence[float],
    *,
    width: float,
    title: str,
    clock: WallClock,
) -> Markup:
    """Return the strip of one hamlet.

    Parameters
    ----------
    spans : sequence of DaySpan
        Of all its clusters.
    volumes : sequence of DayVolume
        Of one of its clusters: the plan and the limit, from one change to the next.
    silent_s : sequence of float
        When something was due that did not play.
    width : float
        In pixels.
    title : str
        What a screen reader says.
    clock : WallClock
        Of the day: where its hours are.
    """
    hours = clock.hours()
    across = Scale(0.0, hours[-1][1], _LEFT_PX, width - 6)
    up = Scale(LOW_DBA, HIGH_DBA, _BOTTOM_PX, _TOP_PX)
    parts = [_grid(hours, across, up, width), _volume(volumes, across)]
    parts += [_bar(one, across, up) for one in _bars(spans)]
    parts.append(_limit(volumes, across, up))
    parts += [_cross(across(one)) for one in silent_s]
    return picture(width, HEIGHT_PX, *parts, title=title, class_="strip")


def _grid(hours: Sequence[tuple[str, float]], across: Scale, up: Scale, width: float) -> Markup:
    step_h = 3 if width > 600 else 6
    parts = []
    for hour, at_s in hours:
        if int(hour) % step_h:
            continue
        x = across(at_s)
        parts.append(line(x, _TOP_PX, x, _BOTTOM_PX + _GAP_PX + _VOLUME_PX, class_="grid"))
        anchor = "end" if hour == "24" else "middle"
        parts.append(text(x, HEIGHT_PX - 2, hour, class_="tick", text_anchor=anchor))
    for level_dba in (50.0, 70.0):
        y = up(level_dba)
        parts.append(line(_LEFT_PX, y, across.end, y, class_="grid"))
        label = f"{level_dba:.0f}"
        parts.append(text(_LEFT_PX - 5, y + 4, label, class_="tick", text_anchor="end"))
    return tag("g", *parts)


def _bars(spans: Sequence[DaySpan]) -> list[_Bar]:
    """Return what the clusters played, those of one item that touch each other as one."""
    found: list[_Bar] = []
    for one in sorted(spans, key=lambda span: (span.item, span.from_s, span.until_s)):
        last = found[-1] if found else None
        if last is not None and last.item == one.item and one.from_s <= last.until_s + 1:
            found[-1] = _Bar(
                last.from_s,
                max(last.until_s, one.until_s),
                last.item,
                last.message_class,
                _louder(last.asked_dba, one.asked_dba),
                _louder(last.played_dba, one.played_dba),
            )
        else:
            found.append(
                _Bar(
                    one.from_s,
                    one.until_s,
                    one.item,
                    one.message_class,
                    one.asked_dba,
                    one.played_dba,
                )
            )
    return found


def _louder(one_dba: float | None, other_dba: float | None) -> float | None:
    return max((level for level in (one_dba, other_dba) if level is not None), default=None)


def _bar(bar: _Bar, across: Scale, up: Scale) -> Markup:
    x = across(bar.from_s)
    long = max(across(bar.until_s) - x, BAR_MIN_PX)
    kind = f"c{CLASSES.index(bar.message_class)}"
    parts = []
    asked_dba = LOW_DBA if bar.asked_dba is None else bar.asked_dba
    top = up(min(max(asked_dba, LOW_DBA), HIGH_DBA))
    if bar.played_dba is None or asked_dba > bar.played_dba:
        parts.append(_box(x, top, long, f"asked {kind}"))
    if bar.played_dba is not None:
        parts.append(_box(x, up(min(max(bar.played_dba, LOW_DBA), HIGH_DBA)), long, kind))
    return tag("g", *parts)


def _box(x: float, top: float, long: float, kind: str) -> Markup:
    high = max(_BOTTOM_PX - top, 1.0)
    return tag("rect", x=x, y=top, width=long, height=high, class_=kind)


def _cross(x: float) -> Markup:
    y, r = _BOTTOM_PX - 7, 4.0
    return tag(
        "g",
        line(x - r, y - r, x + r, y + r),
        line(x - r, y + r, x + r, y - r),
        class_="unplayed",
    )


def _limit(volumes: Sequence[DayVolume], across: Scale, up: Scale) -> Markup:
    points = []
    for one, until_s in _steps(volumes, across):
        if one.limit_dba is not None:
            y = up(min(max(one.limit_dba, LOW_DBA), HIGH_DBA))
            points += [(across(one.at_s), y), (across(until_s), y)]
    return path(points, class_="limit") if points else Markup("")


def _volume(volumes: Sequence[DayVolume], across: Scale) -> Markup:
    base = _BOTTOM_PX + _GAP_PX + _VOLUME_PX
    parts = []
    for one, until_s in _steps(volumes, across):
        x, end = across(one.at_s), across(until_s)
        high = _VOLUME_PX * one.volume / 100
        parts.append(tag("rect", x=x, y=base - high, width=end - x, height=high, class_="volume"))
        if end - x > 24:
            parts.append(
                text((x + end) / 2, base - 2, str(one.volume), class_="tick", text_anchor="middle")
            )
    return tag("g", *parts)


def _steps(volumes: Sequence[DayVolume], across: Scale) -> list[tuple[DayVolume, float]]:
    ends_s = [one.at_s for one in volumes[1:]] + [across.high]
    return list(zip(volumes, ends_s[: len(volumes)], strict=True))
