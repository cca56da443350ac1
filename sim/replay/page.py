"""The playable page: one HTML file with map, moments and sound in it; it fetches nothing."""

import base64
import json
from collections.abc import Mapping
from importlib import resources
from typing import Final

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from node.counters import ORIGINS, Origin
from sim.replay.moments import NOTHING, Fault, Moments
from sim.replay.sound import MEDIA_TYPE, webm
from sim.report.budgets import is_silent
from sim.report.classes import ORIGIN_COLOURS, bearer_name, place_name
from sim.report.raster import run_lengths
from sim.report.village_map import village_map
from sim.result.run import NodeRow, RunResult

SOUNDS_MAX: Final = 12
"""Poles whose sound is in the page: two minutes of one are half a megabyte of it."""

MAP_WIDE_PX: Final = 680.0
MAP_NARROW_PX: Final = 358.0


def heard_poles(result: RunResult) -> list[str]:
    """Return the nodes whose sound the page has: the worst that played, the median and the best."""
    played = [i for i, row in enumerate(result.nodes) if not is_silent(row)]
    order = sorted(played, key=lambda i: (-result.nodes[i].dropout_pct, i))
    if len(order) > SOUNDS_MAX:
        middle = order[len(order) // 2]
        order = [*order[: SOUNDS_MAX - 2], middle, order[-1]]
    return [result.nodes[i].node for i in order]


def replay_page(
    result: RunResult, moments: Moments, sounds: Mapping[str, NDArray[np.float32]]
) -> str:
    """Return the whole page.

    Parameters
    ----------
    result : RunResult
        One run.
    moments : Moments
        Its worst stretch.
    sounds : mapping of str to (n,) float32
        By node, what it played in that stretch, full scale 1.0; at most `SOUNDS_MAX`.
    """
    assert len(sounds) <= SOUNDS_MAX, "the page has a size"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource("sim.replay", "replay.html.j2"))
    rows = result.nodes
    numbers = {row.node: i for i, row in enumerate(rows)}
    first = next((numbers[node] for node in sounds), 0)
    return template.render(
        run=result,
        css=Markup(_resource("sim.report", "page.css")),  # our own files: nothing of a user
        own_css=Markup(_resource("sim.replay", "replay.css")),
        js=Markup(_resource("sim.replay", "replay.js")),
        maps={
            "wide": village_map(rows, width=MAP_WIDE_PX),
            "narrow": village_map(rows, width=MAP_NARROW_PX),
        },
        from_clock=_clock(moments.start_s),
        until_clock=_clock(moments.start_s + moments.length_s),
        length_s=f"{moments.length_s:g}",
        step_s=f"{moments.frame_s:g}",
        faults=[_fault_words(one, rows) for one in moments.faults],
        poles=[(i, _pole_words(row), row.node in sounds) for i, row in enumerate(rows)],
        first=first,
        has_sound=bool(sounds),
        data=_json(_data(result, moments, first)),
        sounds=_json(
            {
                "type": MEDIA_TYPE,
                "by_pole": {
                    numbers[node]: base64.b64encode(webm(samples)).decode()
                    for node, samples in sounds.items()
                },
            }
        ),
    )


def _data(result: RunResult, moments: Moments, first: int) -> dict[str, object]:
    communes = list(dict.fromkeys(row.commune for row in result.nodes))
    names = [ORIGIN_COLOURS[Origin(i)][0] for i in range(ORIGINS)]
    return {
        "start_s": moments.start_s,
        "frame_s": moments.frame_s,
        "length_s": moments.length_s,
        "first": first,
        "nothing": NOTHING,
        "origins": [*names, "nothing: off, or no stream heard"],
        "bad": [int(Origin.CONCEALED), int(Origin.FADED), int(Origin.SILENT), NOTHING],
        "repaired": [int(Origin.REDUNDANT), int(Origin.RETRANSMITTED), int(Origin.IN_BAND_FEC)],
        "paused": int(Origin.PAUSED),
        "poles": [
            {
                "node": row.node,
                "name": f"{row.cluster}, {place_name(row)}",
                "commune": communes.index(row.commune),
            }
            for row in result.nodes
        ],
        "origin": run_lengths(moments.origin),
        "arrived": run_lengths(moments.arrived),
        "lost": run_lengths(moments.lost),
        "faults": [
            {"kind": one.kind, "from": one.from_s, "until": one.until_s, "poles": one.poles}
            for one in moments.faults
        ],
    }


def _fault_words(one: Fault, rows: list[NodeRow]) -> str:
    hamlets = list(dict.fromkeys(place_name(rows[i]) for i in one.poles))
    where = ", ".join(hamlets[:3]) + (f" and {len(hamlets) - 3} more" if len(hamlets) > 3 else "")
    poles = "1 pole" if len(one.poles) == 1 else f"{len(one.poles)} poles"
    return f"{one.kind} at {poles} ({where}), {_clock(one.from_s)} to {_clock(one.until_s)}"


def _pole_words(row: NodeRow) -> str:
    return f"{row.cluster} · {place_name(row)} · {bearer_name(row.bearer)}"


def _clock(at_s: float) -> str:
    return f"{int(at_s) // 60}:{int(at_s) % 60:02d}"


def _json(value: object) -> Markup:
    """Return JSON that cannot end its own element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # made safe here


def _resource(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
