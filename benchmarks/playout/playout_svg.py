"""Delay against concealment, one panel per trace, as an SVG without anything from outside."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 420
_HEIGHT: Final = 300
_LEFT: Final = 52
_BOTTOM: Final = 40
_TOP: Final = 26
_X_DECADES: Final = (10.0, 2000.0)
_Y_DECADES: Final = (0.01, 10.0)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One panel. Points are (mean playout delay in ms, concealed in per cent)."""

    name: str
    network_loss_pct: float
    ours: Sequence[Point]
    neteq: Sequence[Point]
    fixed: Sequence[Point]


def draw(curves: Sequence[Curve]) -> str:
    """Return an SVG with one panel for each of `curves`, two in a row. Lower left is better."""
    rows = -(-len(curves) // 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {rows * _HEIGHT}"'
        ' font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for i, curve in enumerate(curves):
        parts.append(f'<g transform="translate({i % 2 * _WIDTH},{i // 2 * _HEIGHT})">')
        parts += _panel(curve)
        parts.append("</g>")
    parts.append("</svg>\n")
    return "\n".join(parts)


def _panel(curve: Curve) -> Iterable[str]:
    yield f'<text x="{_LEFT}" y="16" font-weight="bold">{escape(curve.name)}</text>'
    for value in (10, 20, 50, 100, 200, 500, 1000, 2000):
        x = _x(value)
        yield f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{_HEIGHT - _BOTTOM}" stroke="#eee"/>'
        yield f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{value}</text>'
    for share in (0.01, 0.1, 1.0, 10.0):
        y = _y(share)
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - 12}" y2="{y}" stroke="#eee"/>'
        yield f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{share:g}</text>'
    middle = (_LEFT + _WIDTH) // 2
    yield f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">mean playout delay, ms</text>'
    yield f'<text transform="rotate(-90)" x="-{_HEIGHT // 2 + 30}" y="12">concealed, %</text>'
    if curve.network_loss_pct > 0:
        y = _y(curve.network_loss_pct)
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - 12}" y2="{y}" stroke="#999"'
        yield f' stroke-dasharray="4 3"/><text x="{_WIDTH - 14}" y="{y - 3}" text-anchor="end"'
        yield ' fill="#777">network loss</text>'
    yield from _points(curve.fixed, "#888", "fixed", 0, is_joined=True)
    yield from _points(curve.neteq, "#c33", "NetEQ", 1, is_joined=False)
    yield from _points(curve.ours, "#06c", "ours", 2, is_joined=True)


def _points(
    points: Sequence[Point], colour: str, label: str, place: int, *, is_joined: bool
) -> Iterable[str]:
    shown = sorted((_x(x), _y(y)) for x, y in points)
    if is_joined:
        path = " ".join(f"{x},{y}" for x, y in shown)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    for x, y in shown:
        yield f'<circle cx="{x}" cy="{y}" r="2.8" fill="{colour}"/>'
    x = _WIDTH - 150 + 48 * place
    yield f'<text x="{x}" y="16" fill="{colour}">{label}</text>'


def _x(value: float) -> float:
    return _place(value, _X_DECADES, _LEFT, _WIDTH - 12)


def _y(value: float) -> float:
    return _place(value, _Y_DECADES, _HEIGHT - _BOTTOM, _TOP)


def _place(value: float, bounds: tuple[float, float], low: float, high: float) -> float:
    """Return where `value` lies on a logarithmic axis, kept on the paper."""
    kept = min(max(value, bounds[0]), bounds[1])
    share = math.log(kept / bounds[0]) / math.log(bounds[1] / bounds[0])
    return round(low + share * (high - low), 1)
