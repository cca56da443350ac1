"""Two real nodes on one paced sound card, fed by a real sender: are they in step.

    python -m benchmarks real_sync [--only clean jitter ...] [--json FILE]

Recorded on one sample clock (JACK's dummy driver), so that the error is exact. Needs Debian's
jackd2 and libportaudio2, and pip's sounddevice and JACK-Client; the rows of the peer need
snapserver and snapclient. Started by root, the card, the nodes and the relay run with real-time
priority, as on a gateway; each row says whether, and how often and how long the host stopped the
card all the same (`host`). What was heard within 5 s of such a stall is counted apart.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import snapcast_rig
from benchmarks import sync_measure as measure
from benchmarks.jack_rig import RigError
from benchmarks.real_village import Recording, Row, Village, in_village, programme

# What is asked for.
CLEAN_P95_MS: Final = 0.1
JITTER_P95_MS: Final = 0.3
FIRST_CLICK_MS: Final = 2.0
IN_STEP_S: Final = 2.0
IN_STEP_MS: Final = 0.3
DELAYED: Final = ("--delay-ms=40", "--jitter-ms=20", "--loss-pct=2")


def run(arguments: list[str]) -> int:
    """Run the chosen cases and print one line each; return 1 when one misses its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks real_sync", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.only:
        try:
            row = CASES[name]()
        except RigError as fault:
            print(f"real_sync: {fault}", file=sys.stderr)
            return 2
        row = {"case": name, **row, "met": all(bool(v) for v in row["bounds"].values())}
        rows.append(row)
        print(json.dumps(row), flush=True)
        host = row.get("host")
        if host is not None and not row["met"] and host["stalls"]:
            print(f"real_sync: {name}: the host stopped the card: {host}", file=sys.stderr)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if all(row["met"] for row in rows) else 1


def _play(seconds: float) -> Callable[[Village], dict[str, float]]:
    def play(village: Village) -> dict[str, float]:
        village.start_node(0)
        village.start_node(1)
        village.start_sender()
        time.sleep(seconds)
        return {}

    return play


def _judge_p95(bound_ms: float) -> Callable[[Recording], Row]:
    def judge(recording: Recording) -> Row:
        row = recording.row()
        bounds = {
            f"p95 <= {bound_ms} ms": row["p95_ms"] <= bound_ms,
            f"first click <= {FIRST_CLICK_MS} ms": abs(row["first_click_ms"]) <= FIRST_CLICK_MS,
        }
        return row | {"bounds": bounds}

    return judge


def clean() -> Row:
    """Loopback as it is."""
    return in_village(_play(25), _judge_p95(CLEAN_P95_MS))


def snapcast_clean() -> Row:
    """Snapcast, loopback as it is: for comparison, no bound."""
    return snapcast_rig.run(25)


def jitter() -> Row:
    """40 +- 20 ms and 2 % loss to each node, drawn independently, both ways."""
    return in_village(_play(48), _judge_p95(JITTER_P95_MS), relay=DELAYED)


def reorder() -> Row:
    """The same, and packets overtake each other."""
    return in_village(_play(48), _judge_p95(JITTER_P95_MS), relay=(*DELAYED, "--reorder"))


def snapcast_jitter() -> Row:
    """Snapcast at 40 +- 20 ms on its TCP connection, without loss: for comparison, no bound."""
    return snapcast_rig.run(48, delay_ms=40, jitter_ms=20)


def fast_card() -> Row:
    """A card that is 104 ppm fast: the delay must not creep."""

    def judge(recording: Recording) -> Row:
        row = _judge_p95(CLEAN_P95_MS)(recording)
        level = [one["hard_resyncs"] for one in row["nodes"]]
        row["bounds"]["no hard resync"] = not any(level)
        return row

    return in_village(_play(25), judge, rate_hz=48_005)


def outage() -> Row:
    """The sender dies, and is started anew 3 s later with the same SSRC."""

    def play(village: Village) -> dict[str, float]:
        village.start_node(0)
        village.start_node(1)
        sender = village.start_sender()
        time.sleep(10)
        sender.kill()
        sender.communicate()
        killed_s = time.monotonic()
        time.sleep(3)
        village.start_sender()
        time.sleep(10)
        return {"killed": killed_s, "again": village.sent_s[-1]}

    return in_village(play, _judge_return)


def _judge_return(recording: Recording) -> Row:
    row = recording.row()
    again_s = recording.at("again")
    begins, errors = recording.errors()
    after = begins > again_s
    step_s = measure.in_step_after_s(
        begins[after], errors[after], bound_ms=IN_STEP_MS, from_s=again_s
    )
    begins, delays = measure.latencies_ms(
        recording.sound[:, 0], programme(), recording.rate_hz, again_s
    )
    late = delays[begins > again_s + 3]
    delay_ms = float(np.median(late)) if late.size else float("inf")
    row |= {"in_step_after_s": round(step_s, 2), "delay_after_ms": round(delay_ms, 1)}
    bounds = {
        f"in step within {IN_STEP_S} s": step_s <= IN_STEP_S,
        "no backlog kept": abs(delay_ms - 400) <= 25,
    }
    return row | {"bounds": bounds}


def late_joiner() -> Row:
    """The second node starts while the programme runs."""

    def play(village: Village) -> dict[str, float]:
        village.start_node(0)
        village.start_sender()
        time.sleep(6)
        ready_s = village.start_node(1)
        time.sleep(12)
        return {"joined": ready_s}

    def judge(recording: Recording) -> Row:
        row = recording.row()
        begins, errors = recording.errors()
        joined_s = recording.at("joined")
        step_s = measure.in_step_after_s(begins, errors, bound_ms=IN_STEP_MS, from_s=joined_s)
        row["in_step_after_s"] = round(step_s, 2)
        return row | {"bounds": {f"in step within {IN_STEP_S} s": step_s <= IN_STEP_S}}

    return in_village(play, judge, relay=("--delay-ms=5", "--jitter-ms=1"))


def gstreamer() -> Row:
    """A sender without reports, GStreamer's: it keeps playing, and the skew is told."""

    def play(village: Village) -> dict[str, float]:
        village.start_node(0)
        village.start_node(1)
        clients = ",".join(f"127.0.0.1:{port}" for port in village.relay_ports)
        pipeline = (
            f"filesrc location={village.folder / 'programme.wav'} ! wavparse ! audioconvert ! "
            f"audioresample ! opusenc bitrate=32000 ! rtpopuspay ! multiudpsink clients={clients}"
        )
        village.start_program("gst-launch-1.0", "-q", *pipeline.split())
        time.sleep(20)
        return {}

    def judge(recording: Recording) -> Row:
        row = recording.row()
        told = [one.get("skew_ppm") is not None for one in row["nodes"]]
        bounds = {"keeps playing": row["windows"] >= 60, "skew told": len(told) == 2 and all(told)}
        return row | {"bounds": bounds}

    return in_village(play, judge)


CASES: Final[dict[str, Callable[[], Row]]] = {
    "clean": clean,
    "snapcast_clean": snapcast_clean,
    "jitter": jitter,
    "reorder": reorder,
    "snapcast_jitter": snapcast_jitter,
    "fast_card": fast_card,
    "outage": outage,
    "late_joiner": late_joiner,
    "gstreamer": gstreamer,
}


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
