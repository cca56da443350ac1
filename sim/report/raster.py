"""When each cluster dropped out: one row per node, one column per stretch of time, as a PNG."""

import base64
import itertools
import struct
import zlib
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from node.counters import ORIGINS, Origin
from sim.report.classes import ORIGIN_COLOURS
from sim.report.svg import Scale, line, picture, tag, text
from sim.result.run import NodeRow, RunResult

COLUMNS_MAX: Final = 600
"""More cannot be told apart on a screen; neighbours are joined by the worst of them."""


_BADNESS: Final = np.array([one != Origin.PAUSED and 1 + one for one in Origin], np.int64)
"""How bad each origin sounds: a pause is best, then the order of `counters.Origin`."""


def coarse(raster: NDArray[np.uint8], columns_max: int = COLUMNS_MAX) -> NDArray[np.uint8]:
    """Join neighbouring bins so that at most `columns_max` remain; the worst origin wins.

    Parameters
    ----------
    raster : (nodes, bins) uint8
        Index of a `counters.Origin` per bin.
    columns_max : int
        Bound of the second dimension, at least 1.

    Returns
    -------
    (nodes, columns) uint8
        Index of a `counters.Origin` per column.
    """
    nodes, bins = raster.shape
    width = -(-bins // columns_max) if bins else 1
    columns = -(-bins // width)
    whole = np.full((nodes, columns * width), Origin.PAUSED, np.uint8)
    whole[:, :bins] = raster
    joined = whole.reshape(nodes, columns, width)
    worst = _BADNESS[joined].argmax(axis=2)
    return np.take_along_axis(joined, worst[:, :, None], axis=2)[:, :, 0]


def mark_s(result: RunResult) -> float:
    """Return how much time one column of the drawn raster stands for."""
    bins: int = result.raster.shape[1]
    return result.bin_s * -(-bins // COLUMNS_MAX)


def png(origins: NDArray[np.uint8]) -> bytes:
    """Return an indexed PNG with transparency (PNG specification, third edition, section 11).

    Parameters
    ----------
    origins : (height, width) uint8
        Index of a `counters.Origin` per pixel.
    """
    height, width = origins.shape
    colours = [ORIGIN_COLOURS[Origin(i)][1] for i in range(ORIGINS)]
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with filter type 0
    lines[:, 1:] = origins
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(bytes(colour[:3]) for colour in colours)),
        (b"tRNS", bytes(colour[3] for colour in colours)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def run_lengths(origins: NDArray[np.uint8]) -> list[str]:
    """Return each row as `origin*columns` words, for the page's script.

    origins  (nodes, columns) uint8, index of a `counters.Origin` per column
    """
    return [
        " ".join(f"{value}*{len(list(run))}" for value, run in itertools.groupby(row))
        for row in origins.tolist()
    ]


def dropout_raster(result: RunResult, *, width: float, row_height: float) -> Markup:
    """Draw the raster with communes at its left and time below."""
    origins = coarse(result.raster)
    left = 96.0 if width < 500 else 132.0
    bottom = 4 + row_height * len(result.nodes)
    title = "When each cluster dropped out: one row per cluster, time from left to right"
    image = tag(
        "image",
        href="data:image/png;base64," + base64.b64encode(png(origins)).decode(),
        x=left,
        y=4,
        width=width - left - 10,
        height=bottom - 4,
        preserveAspectRatio="none",
        class_="raster",
    )
    frame = tag("rect", x=left, y=4, width=width - left - 10, height=bottom - 4, class_="paper")
    across = Scale(0, result.duration_s, left, width - 10)
    parts = [frame, image, *_communes(result.nodes, left, width - 10, row_height)]
    parts += _time_axis(across, bottom)
    return picture(width, bottom + 38, *parts, title=title, class_="rasterplot")


def _communes(rows: list[NodeRow], left: float, right: float, row_height: float) -> list[Markup]:
    parts: list[Markup] = []
    y = 4.0
    for name, group in itertools.groupby(rows, lambda row: row.commune):
        height = row_height * len(list(group))
        if y > 4.0:
            parts.append(line(left - 8, y, right, y, class_="rule"))
        parts.append(text(left - 10, y + height / 2 + 4, name, class_="label", text_anchor="end"))
        y += height
    return parts


def _time_axis(across: Scale, bottom: float) -> list[Markup]:
    minutes = across.high >= 300
    parts = []
    unit = 60.0 if minutes else 1.0
    inner = Scale(0, across.high / unit, across.start, across.end)
    for value in inner.ticks(max(4, int((across.end - across.start) / 90))):
        x = inner(value)
        parts.append(line(x, bottom, x, bottom + 5, class_="axis"))
        parts.append(text(x, bottom + 18, f"{value:g}", class_="tick", text_anchor="middle"))
    middle = (across.start + across.end) / 2
    label = "minutes" if minutes else "seconds"
    parts.append(text(middle, bottom + 34, label, class_="tick", text_anchor="middle"))
    return parts
