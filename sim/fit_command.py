"""What `loalang-sim fit` does: a trace in, a bearer out, with the fit drawn and judged."""

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hw_profiles import Number
from node.config import ConfigError
from node.units import NS_PER_MS
from sim.command_line import CONDITION, FAILED, OK, USER, complain
from sim.links import bearer as bearers
from sim.links.bearer import Bearer
from sim.links.fit import Fit, fit
from sim.links.kernel import LOST_NS
from sim.links.traces import read_recording
from sim.links.transits import Recording
from sim.report.files import check_folder, write_all
from sim.report.svg import Scale, line, path, picture, text
from sim.run_command import explain

_WIDTH: Final = 640
_HEIGHT: Final = 360
_COLOURS: Final = ("#1f6fb2", "#c0392b")
_USUAL_MS: Final = 20.0
"""From one packet to the next where neither the file nor anybody says it."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ROWS: Final = (
    ("loss, %", "loss_pct"), ("burst, packets", "burst_packets"), ("delay p50, ms", "p50_ms"),
    ("p90", "p90_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"), ("longest", "longest_ms"),
)  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write the bearer and the picture, print how well it fits; 3 where it does not."""
    stem = options.trace.name.split(".")[0]
    name = options.name if options.name is not None else re.sub(r"[^A-Za-z0-9_-]", "_", stem)
    try:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"--name {name!r}: must be 1 to 40 letters, digits, _ and -")
        like = bearers.load(options.like)
        check_folder(options.out)
        recording = read_recording(options.trace)
        found = fit(
            recording.transit_ns,
            interval_ns=_interval_ns(options.packet_ms, recording, options.trace.name),
            like=like,
            source=_printable(options.trace.name),
            one_way_ms=_one_way_ms(options.one_way_ms, recording.transit_ns, like),
        )
    except ConfigError as fault:
        return complain(str(fault).splitlines(), USER)
    except OSError as fault:
        return complain([explain(fault, options.out)], USER)
    files = {
        f"{name}.toml": "\n".join(table(name, found.bearer)) + "\n",
        f"{name}.svg": drawn(found, name),
    }
    try:
        write_all({file: text.encode() for file, text in files.items()}, options.out)
    except OSError as fault:
        return complain([explain(fault, options.out)], FAILED)
    if options.json:
        print(json.dumps(_object(found, name, recording.skew_ppm), allow_nan=False))
    else:
        print(
            "\n".join(
                [
                    *_lines(found, recording.skew_ppm),
                    *(f"written: {options.out / one}" for one in files),
                ]
            )
        )
    return CONDITION if found.misfits else OK


def table(name: str, bearer: Bearer) -> Iterator[str]:
    """Yield the lines of a scenario's table `[bearers.NAME]`."""
    yield f"[bearers.{name}]"
    yield f"title = {json.dumps(bearer.title, ensure_ascii=False)}"
    yield f'jitter_shape = "{bearer.jitter_shape}"'
    yield from _numbers(bearer)
    if bearer.sleep is not None:
        yield ""
        yield f"[bearers.{name}.sleep]"
        yield from _numbers(bearer.sleep)


def _numbers(of: Any) -> Iterator[str]:
    for field in fields(of):
        one = getattr(of, field.name)
        if isinstance(one, Number):
            source, known = json.dumps(one.source, ensure_ascii=False), str(one.verified).lower()
            figure = f"value = {one.value!r}, source = {source}, verified = {known}"
            yield f"{field.name} = {{ {figure} }}"


def drawn(found: Fit, name: str) -> str:
    """Return the picture: which share of the packets is there within a delay, twice."""
    most_ms = max(float(one[99]) for one in found.delays_ms)
    least_ms = min(float(one[0]) for one in found.delays_ms)
    across = Scale(least_ms, max(most_ms, least_ms + 1), 50, _WIDTH - 20)
    up = Scale(0, 100, _HEIGHT - 50, 20)
    parts = []
    for at in across.ticks(8):
        parts.append(line(across(at), up.start, across(at), up.end, stroke="#ddd"))
        parts.append(text(across(at), up.start + 18, f"{at:g}", text_anchor="middle"))
    for at in up.ticks(5):
        parts.append(line(across.start, up(at), across.end, up(at), stroke="#ddd"))
        parts.append(text(across.start - 6, up(at) + 4, f"{at:g}", text_anchor="end"))
    for i, (values, label) in enumerate(zip(found.delays_ms, ("trace", name), strict=True)):
        way = [(across(min(one, across.high)), up(q)) for q, one in enumerate(values.tolist())]
        parts.append(path(way, stroke=_COLOURS[i], fill="none", stroke_width=2))
        parts.append(
            text(across.end - 8, up(0) - 26 + 18 * i, label, fill=_COLOURS[i], text_anchor="end")
        )
    parts.append(text(_WIDTH / 2, _HEIGHT - 12, "delay, ms, to p99", text_anchor="middle"))
    parts.append(text(8, 14, "% of the packets that came"))
    whole = picture(_WIDTH, _HEIGHT, *parts, title=f"Delay in the trace and by {name}")
    begin = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
    return str(whole).replace("<svg", begin, 1) + "\n"


def _lines(found: Fit, skew_ppm: float) -> Iterator[str]:
    yield f"{'':16}{'trace':>10}{'bearer':>10}"
    for label, name in _ROWS:
        yield f"{label:16}{getattr(found.trace, name):10.2f}{getattr(found.drawn, name):10.2f}"
    yield f"{'apart at most, %':16}{100 * found.distance:20.1f}"
    if skew_ppm:
        yield f"its two clocks ran {skew_ppm:+.1f} ppm apart: that is taken out"
    for why in found.misfits:
        yield f'does not fit: {why}; play the trace itself: bearer = "trace:FILE"'
    kinds = ("outage", "busy", "stall")
    figures = [(one, getattr(found.bearer, f"{one}_interval_s")) for one in kinds]
    if few := [name for name, one in figures if one.value > 0 and not one.verified]:
        yield f"of too few to know how often such come, so not verified: {', '.join(few)}"
    if not found.misfits:
        yield "fits"


def _object(found: Fit, name: str, skew_ppm: float) -> dict[str, Any]:
    return {
        "name": name,
        "bearer": asdict(found.bearer),
        "trace": asdict(found.trace),
        "drawn": asdict(found.drawn),
        "distance": found.distance,
        "misfits": found.misfits,
        "lost_otherwise": found.lost_otherwise,
        "skew_ppm": skew_ppm,
    }


def _interval_ns(asked_ms: float | None, recording: Recording, name: str) -> int:
    """Return what lies between two packets: as the file says, or as it is asked where it is mute.

    Raises
    ------
    ConfigError
        Where the two contradict each other.
    """
    known_ns = recording.interval_ns
    if asked_ms is None:
        return round(_USUAL_MS * NS_PER_MS) if known_ns is None else known_ns
    asked_ns = round(asked_ms * NS_PER_MS)
    if known_ns is not None and abs(asked_ns - known_ns) > known_ns / 10:
        raise ConfigError(
            f"--packet-ms {asked_ms:g}: the packets of {name} are {known_ns / NS_PER_MS:.6g} ms "
            "apart: leave it out"
        )
    return asked_ns


def _printable(name: str) -> str:
    """Return the name of a file as TOML and UTF-8 can have it."""
    return "".join(one if one.isprintable() else "?" for one in name)


def _one_way_ms(asked: float | None, transit_ns: NDArray[np.int64], like: Bearer) -> float | None:
    """Return what the fastest packet needs; None where the trace says so."""
    came_ns = transit_ns[transit_ns != LOST_NS]
    if asked is None and came_ns.size and came_ns.min() == 0:
        return like.one_way_ms.value
    return asked
