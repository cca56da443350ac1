"""Two real nodes on one paced sound card, fed by a real sender: are they in step.

    python -m benchmarks real_sync [--only clean jitter ...] [--network relay] [--seed 1]

`--network relay` (default): all on loopback, a UDP relay before each node. `namespaces`: the sender
and each node in a network namespace of its own, with real addresses and interfaces, and IP packets
of any kind delayed and lost between them; Snapcast's TCP too, so that both systems are compared
under one loss. `multicast`: the same, and the sender sends to a group. Both need root; only those
namespaces are touched, and they are gone afterwards.

Recorded on one sample clock (JACK's dummy driver), so that the error is exact. Needs Debian's
jackd2 and libportaudio2, and pip's sounddevice and JACK-Client; the rows of the peer need
snapserver and snapclient. Started by root, the card, the nodes and the relay run with real-time
priority, as on a gateway; each row says whether, and how often and how long the host stopped the
card all the same (`host`). What was heard within 5 s of such a stall is counted apart.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.options import parser_of
from benchmarks.rig import rig_network
from benchmarks.rig import sync_measure as measure
from benchmarks.rig.impairment import Impairment
from benchmarks.rig.jack_rig import RigError
from benchmarks.rig.live_source import LiveSource, mp2_frames
from benchmarks.rig.real_village import (
    IN_STEP_MS,
    OUTAGE_S,
    Recording,
    Row,
    Village,
    in_village,
    programme,
)
from benchmarks.rig.rig_network import Setting
from benchmarks.rig.snapcast_rig import SnapcastRun, play_snapcast

# What is asked for.
CLEAN_P95_MS: Final = 0.1
JITTER_P95_MS: Final = 0.3
NEIGHBOUR_P95_MS: Final = 0.1
FIRST_CLICK_MS: Final = 2.0
IN_STEP_S: Final = 2.0
BACKLOG_MS: Final = 25
DELAYED: Final = Impairment(delay_ms=40, jitter_ms=20, loss_pct=2)
AT_ONCE: Final = ("--lead=0",)
"""What a sender is told that is to speak at once, as one that comes back must."""
LIVE_PIPE_BYTES: Final = 8192
"""14 frames of 24 ms: a third of a second, as Snapcast's pipe holds 16 blocks of 20 ms."""
OVERTAKING: Final = replace(DELAYED, reorder=True)


def run(arguments: list[str]) -> int:
    """Run the chosen cases and print one line each; return 1 when one misses its bound."""
    parser = parser_of("real_sync", __doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, help="cases (default: all)")
    parser.add_argument("--network", choices=rig_network.KINDS, default="relay")
    parser.add_argument("--seed", type=int, default=1, help="of the network's draws (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of what stops the rig
    rows = []
    relayed = options.network == "relay"
    for name in options.only or [one for one in CASES if relayed or one != "neighbour"]:
        try:
            rig_network.require(options.network)
            row = CASES[name](Setting(kind=options.network, seed=options.seed))
        except RigError as fault:
            print(f"real_sync: {fault}", file=sys.stderr)
            return 2
        met = all(bool(v) for v in row["bounds"].values())
        row = {"case": name, "network": options.network, "seed": options.seed, **row, "met": met}
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
        return {"sent": village.sent_s[0]}

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


def clean(setting: Setting) -> Row:
    """The network as it is."""
    return in_village(_play(25), _judge_p95(CLEAN_P95_MS), setting=setting)


def snapcast_clean(setting: Setting) -> Row:
    """Snapcast, the network as it is: for comparison, no bound."""
    return play_snapcast(SnapcastRun(setting=setting))


def jitter(setting: Setting) -> Row:
    """40 +- 20 ms and 2 % loss to each node, drawn independently, both ways."""
    return in_village(_play(48), _judge_p95(JITTER_P95_MS), setting=setting, impairment=DELAYED)


def neighbour(setting: Setting) -> Row:
    """The same as `jitter`, and one node asks the other, over the loopback itself."""
    if setting.kind != "relay":
        raise RigError("the case neighbour needs --network relay: others delay between nodes too")

    def play(village: Village) -> dict[str, float]:
        hosts = [village.network.listens(index) for index in range(rig_network.POLES)]
        answers = hosts[1].partition(":")[0]
        village.start_node(0, tables=f'[clock]\nanswers = ["{answers}"]\n')
        village.start_node(1, tables=f'[clock]\nneighbour = "{hosts[0]}"\n')
        village.start_sender()
        time.sleep(48)
        return {"sent": village.sent_s[0]}

    def judge(recording: Recording) -> Row:
        row = _judge_p95(NEIGHBOUR_P95_MS)(recording)
        told = row["nodes"][1].get("neighbour")
        row["bounds"]["rests on the neighbour"] = told is not None and told["rests"]
        return row

    return in_village(play, judge, setting=setting, impairment=DELAYED)


def reorder(setting: Setting) -> Row:
    """The same, and packets overtake each other."""
    return in_village(_play(48), _judge_p95(JITTER_P95_MS), setting=setting, impairment=OVERTAKING)


def snapcast_jitter(setting: Setting) -> Row:
    """Snapcast at 40 +- 20 ms, in namespaces with 2 % loss: for comparison, no bound."""
    return play_snapcast(SnapcastRun(setting=setting, seconds=48, impairment=DELAYED))


def fast_card(setting: Setting) -> Row:
    """A card that is 104 ppm fast: the delay must not creep."""

    def judge(recording: Recording) -> Row:
        row = _judge_p95(CLEAN_P95_MS)(recording)
        level = [one["hard_resyncs"] for one in row["nodes"]]
        row["bounds"]["no hard resync"] = not any(level)
        return row

    return in_village(_play(25), judge, setting=setting, rate_hz=48_005)


def outage(setting: Setting) -> Row:
    """The sender dies, and is started anew 3 s later with the same SSRC."""

    def play(village: Village) -> dict[str, float]:
        village.start_node(0)
        village.start_node(1)
        return _break(village, None, after_s=10)

    return in_village(play, _judge_return, setting=setting)


def outage_live(setting: Setting) -> Row:
    """The same, and the source goes on and fills its pipe: that must not stay as delay."""

    def play(village: Village) -> dict[str, float]:
        source = LiveSource(
            village.folder / "programme.pipe", stays=True, holds_bytes=LIVE_PIPE_BYTES
        )
        os.mkfifo(source.pipe)
        village.start_node(0)
        village.start_node(1)
        source.start(*mp2_frames(programme()))
        marks = _break(village, source.pipe, after_s=16)
        source.stop()
        return marks | {"sent": source.begun_s()}

    def judge(recording: Recording) -> Row:
        row = recording.row() | recording.return_row(sent="sent")
        kept_ms = row["delay_after_ms"] - row["delay_before_ms"]
        bounds = {
            f"in step within {IN_STEP_S} s": row["in_step_after_s"] <= IN_STEP_S,
            "no backlog kept": abs(kept_ms) <= BACKLOG_MS,
        }
        return row | {"bounds": bounds}

    return in_village(play, judge, setting=setting)


def _break(village: Village, pipe: Path | None, *, after_s: float) -> dict[str, float]:
    """Let the sender die after 10 s, start it anew, and go on for so long."""
    sender = village.start_sender(pipe=pipe)
    time.sleep(10)
    sender.kill()
    sender.communicate()
    killed_s = time.monotonic()
    time.sleep(OUTAGE_S)
    village.start_sender(pipe=pipe, options=AT_ONCE)
    time.sleep(after_s)
    return {"sent": village.sent_s[0], "killed": killed_s, "again": village.sent_s[-1]}


def _judge_return(recording: Recording) -> Row:
    row = recording.row() | recording.return_row()
    bounds = {
        f"in step within {IN_STEP_S} s": row["in_step_after_s"] <= IN_STEP_S,
        "no backlog kept": abs(row["delay_after_ms"] - 400) <= BACKLOG_MS,
    }
    return row | {"bounds": bounds}


def snapcast_outage(setting: Setting) -> Row:
    """Snapcast's server dies, and server and source are started anew 3 s later: no bound."""
    return play_snapcast(SnapcastRun(setting=setting, seconds=10, outage=True))


def snapcast_outage_live(setting: Setting) -> Row:
    """The same, and its source goes on meanwhile and fills the pipe: no bound."""
    return play_snapcast(SnapcastRun(setting=setting, seconds=10, outage=True, source_lives=True))


def late_joiner(setting: Setting) -> Row:
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

    return in_village(play, judge, setting=setting, impairment=Impairment(delay_ms=5, jitter_ms=1))


def gstreamer(setting: Setting) -> Row:
    """A sender without reports, GStreamer's: it keeps playing, and the skew is told."""
    if shutil.which("gst-launch-1.0") is None:
        raise RigError("gst-launch-1.0 is missing: apt install gstreamer1.0-tools")

    def play(village: Village) -> dict[str, float]:
        village.start_node(0)
        village.start_node(1)
        clients = ",".join(village.network.destinations())
        pipeline = (
            f"filesrc location={village.folder / 'programme.wav'} ! wavparse ! audioconvert ! "
            f"audioresample ! opusenc bitrate=32000 ! rtpopuspay ! multiudpsink clients={clients}"
        )
        gstreamer = ("gst-launch-1.0", "-q", *pipeline.split())
        village.start_program(*village.network.at(rig_network.SENDER, *gstreamer))
        time.sleep(20)
        return {}

    def judge(recording: Recording) -> Row:
        row = recording.row()
        told = [one.get("skew_ppm") is not None for one in row["nodes"]]
        bounds = {"keeps playing": row["windows"] >= 60, "skew told": len(told) == 2 and all(told)}
        return row | {"bounds": bounds}

    return in_village(play, judge, setting=setting)


CASES: Final[dict[str, Callable[[Setting], Row]]] = {
    "clean": clean,
    "snapcast_clean": snapcast_clean,
    "jitter": jitter,
    "neighbour": neighbour,
    "reorder": reorder,
    "snapcast_jitter": snapcast_jitter,
    "fast_card": fast_card,
    "outage": outage,
    "outage_live": outage_live,
    "snapcast_outage": snapcast_outage,
    "snapcast_outage_live": snapcast_outage_live,
    "late_joiner": late_joiner,
    "gstreamer": gstreamer,
}


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
