"""The map: every cluster where it stands, coloured by its dropout, with the hamlets' names."""

import statistics
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from sim.report.classes import SILENT_CLASS, bearer_name, dropout_class, hamlet_name, place_name
from sim.report.svg import line, number, path, picture, round_step, tag, text
from sim.result.run import NodeRow

LETTER_PX: Final = 6.1
"""Mean width of a letter at 11 px, wide rather than narrow, so that labels stay apart."""

LABEL_HEIGHT_PX: Final = 13.0
DOT_RADIUS_PX: Final = 5.5
DOT_RADIUS_NARROW_PX: Final = 4.2
NARROW_PX: Final = 500.0
MARGIN_PX: Final = 46.0
GROUND_RADIUS_PX: Final = 34.0
"""A disc of paper under each cluster; together they show which clusters are neighbours."""

NAMES_MAX: Final = 60
"""Of more communes only so many are named, the worst ones, and each only where there is room."""

ASPECT_MIN: Final = 0.5
ASPECT_MAX: Final = 1.25


@dataclass(slots=True)
class _Canvas:
    """Metres to pixels, and which rectangles are taken."""

    x_m: float
    y_m: float
    px_per_m: float
    height: float
    offset_x: float
    offset_y: float
    radius: float
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def place(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Return the pixel of a point; north is up."""
        x = self.offset_x + (x_m - self.x_m) * self.px_per_m
        return x, self.height - self.offset_y - (y_m - self.y_m) * self.px_per_m

    def claim(self, box: tuple[float, float, float, float]) -> bool:
        """Take a rectangle (left, top, right, bottom) if nothing else stands there."""
        free = all(
            box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1]
            for other in self.taken
        )
        if free:
            self.taken.append(box)
        return free


def village_map(rows: list[NodeRow], *, width: float) -> Markup:
    """Draw the clusters of a run on a map `width` pixels wide.

    Names are put beside their clusters where there is room, the worst hamlets first; every
    cluster tells its name and figures when pointed at.
    """
    canvas, height = _fit(rows, width)
    dots = [(row, *canvas.place(row.x_m, row.y_m)) for row in rows]
    for _, x, y in dots:
        r = canvas.radius
        canvas.taken.append((x - r, y - r, x + r, y + r))
    canvas.taken.append((0, height - 40, 190, height))  # the scale bar
    canvas.taken.append((width - 34, 8, width, 52))  # the north arrow
    communes = len({row.commune for row in rows})
    names = _commune_names(rows, canvas, width) if communes <= NAMES_MAX else []
    labels = _hamlet_labels(dots, canvas, width, height, names_max=None if names else NAMES_MAX)
    # Bad ones last, so that they lie on top.
    ordered = sorted(dots, key=lambda dot: dropout_class(dot[0]))
    grounds = [tag("circle", cx=x, cy=y, r=GROUND_RADIUS_PX) for _, x, y in dots]
    parts = [tag("g", *grounds, class_="ground"), *names]
    parts += [*(_dot(row, x, y, canvas.radius) for row, x, y in ordered), *labels]
    parts += [*_scale_bar(canvas.px_per_m, height), _north(width)]
    title = "Map of the clusters, coloured by how much of the programme dropped out"
    return picture(width, height, *parts, title=title, class_="map")


def _fit(rows: list[NodeRow], width: float) -> tuple[_Canvas, float]:
    west, east = min(r.x_m for r in rows), max(r.x_m for r in rows)
    south, north = min(r.y_m for r in rows), max(r.y_m for r in rows)
    wide, high = max(east - west, 200.0), max(north - south, 200.0)
    inner = width - 2 * MARGIN_PX
    height = min(max(inner * high / wide, width * ASPECT_MIN), width * ASPECT_MAX) + 2 * MARGIN_PX
    px_per_m = min(inner / wide, (height - 2 * MARGIN_PX) / high)
    canvas = _Canvas(
        x_m=west,
        y_m=south,
        px_per_m=px_per_m,
        height=height,
        offset_x=(width - (east - west) * px_per_m) / 2,
        radius=DOT_RADIUS_PX if width >= NARROW_PX else DOT_RADIUS_NARROW_PX,
        offset_y=(height - (north - south) * px_per_m) / 2,
    )
    return canvas, height


def _commune_names(rows: list[NodeRow], canvas: _Canvas, width: float) -> list[Markup]:
    """Name each commune above its clusters, where nothing else stands."""
    members: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        members.setdefault(row.commune, []).append(canvas.place(row.x_m, row.y_m))
    parts = []
    for name, points in members.items():
        half = 5.2 * len(name)
        x = statistics.fmean(point[0] for point in points)
        x = min(max(x, half + 6), width - half - 6)
        top = min(point[1] for point in points)
        bottom = max(point[1] for point in points)
        middle = statistics.fmean(point[1] for point in points)
        for y in (top - 16, middle, top - 26, top - 36, middle + 24, middle - 24, bottom + 20):
            y = max(y, 18.0)
            box = (x - half, y - 13, x + half, y + 4)
            if canvas.claim(box):
                break
        else:
            canvas.taken.append(box)  # a commune's name stays, and the hamlets give way
        parts.append(text(x, y, name, class_="commune", text_anchor="middle"))
    return parts


def _hamlet_labels(
    dots: list[tuple[NodeRow, float, float]],
    canvas: _Canvas,
    width: float,
    height: float,
    *,
    names_max: int | None,
) -> list[Markup]:
    """Name each hamlet once, beside the worst of its clusters, the worst hamlets first.

    No name stands on another; of the worst `names_max` those get one for which there is room.
    """
    parts = []
    named: set[tuple[str, str]] = set()
    for row, x, y in sorted(dots, key=lambda dot: (-dot[0].dropout_pct, dot[0].node))[:names_max]:
        if (row.commune, row.hamlet) in named:
            continue
        long = LETTER_PX * len(hamlet_name(row))
        gap = canvas.radius + 3
        places = (
            (x + gap, y + 4, "start", 0.0),
            (x - gap, y + 4, "end", -long),
            (x, y - gap - 1, "middle", -long / 2),
            (x, y + gap + 9, "middle", -long / 2),
            (x + gap - 2, y - 7, "start", 0.0),
            (x + gap - 2, y + 15, "start", 0.0),
            (x - gap + 2, y - 7, "end", -long),
            (x - gap + 2, y + 15, "end", -long),
        )
        for px, py, anchor, shift in places:
            box = (px + shift, py - LABEL_HEIGHT_PX + 3, px + shift + long, py + 3)
            inside = box[0] >= 2 and box[2] <= width - 2 and box[1] >= 2 and box[3] <= height - 2
            if inside and canvas.claim(box):
                parts.append(text(px, py, hamlet_name(row), class_="hamlet", text_anchor=anchor))
                named.add((row.commune, row.hamlet))
                break
    return parts


def _dot(row: NodeRow, x: float, y: float, radius: float) -> Markup:
    kind = dropout_class(row)
    said = (
        f"{row.cluster}, {place_name(row)}\n"
        f"{bearer_name(row.bearer)}, {row.profile}\n"
        f"dropout {number(row.dropout_pct, 2)} %, longest gap {number(row.longest_gap_ms)} ms"
    )
    shape = tag("circle", cx=x, cy=y, r=radius, class_=f"dot d{kind}")
    if kind == SILENT_CLASS:
        r = radius - 2
        cross = [line(x - r, y - r, x + r, y + r), line(x - r, y + r, x + r, y - r)]
        shape = Markup("").join([shape, tag("g", *cross, class_="cross")])
    return tag("g", tag("title", said), shape, data_node=row.node)


def _scale_bar(px_per_m: float, height: float) -> list[Markup]:
    long_m = round_step(60.0 / px_per_m)
    long_px = long_m * px_per_m
    label = f"{number(long_m / 1000)} km" if long_m >= 1000 else f"{number(long_m)} m"
    y = height - 14
    bar = path([(14, y - 4), (14, y), (14 + long_px, y), (14 + long_px, y - 4)], class_="scale")
    return [bar, text(20 + long_px, y + 1, label, class_="tick")]


def _north(width: float) -> Markup:
    x = width - 20
    arrow = path([(x, 34), (x, 14), (x - 4, 20), (x, 14), (x + 4, 20)], class_="scale")
    return tag("g", arrow, text(x, 47, "N", class_="tick", text_anchor="middle"))
