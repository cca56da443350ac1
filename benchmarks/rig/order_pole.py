"""A real node of any tree of this project, that is given signed orders: for `order_cost`."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import msgspec
import numpy as np
import paho.mqtt.client as paho
from numpy.typing import NDArray
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.rig.rig_network import free_port
from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate
from node.control.trust.message import Kind, Message, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import encode_short
from node.units import NS_PER_MS, RATE_HZ

AREA: Final = "vn/lang-son/huu-lien"
PERIOD_NS: Final = 10 * NS_PER_MS
BLOCK_BYTES: Final = 4096
"""The least that a file system writes, and a memory card far more."""
_ROOT, _COMMUNE = (SeedSigner(hashlib.sha256(one).digest()) for one in (b"root", b"commune"))
_SETTLE_S: Final = 2.0
_START_S: Final = 120.0
_LOUD: Final = 0.01
_GIVE_UP_MS: Final = 1000.0
_TRACED: Final = "fsync,fdatasync,sync_file_range,write,writev,pwrite64,pwritev,ftruncate,msync"
_LINE: Final = re.compile(r"(\w+)\(\d+<([^>]*)>.*\) = (\d+)$")


@dataclass(slots=True)
class Strokes:
    """What was done to the disk."""

    batches: int = 0
    written_bytes: int = 0
    blocks: int = 0

    def add(self, other: "Strokes") -> None:
        """Count those of `other` too."""
        self.batches += other.batches
        self.written_bytes += other.written_bytes
        self.blocks += other.blocks

    def each(self, orders: int) -> tuple[float, float, float]:
        """Return the share of one of so many orders."""
        return self.batches / orders, self.written_bytes / orders, self.blocks / orders


class Pole:
    """A node with a store in `folder`, run with the sources of `tree`.

    Parameters
    ----------
    folder : Path
        It does not exist yet.
    tree : Path
        Root of the tree.
    port : int
        Of the broker on loopback.
    traced : bool
        Under strace, which counts what goes to the disk and makes it slower.
    """

    def __init__(self, folder: Path, tree: Path, port: int, *, traced: bool) -> None:
        self._folder, self._tree, self._traced = folder, tree, traced
        self._port = port
        self._name = f"pole-{folder.name}"
        self._counter = time.time_ns() // 1000
        self._number = 0
        self._lines: list[str] = []
        self._told = threading.Event()
        self._seen: dict[Path, int] = {}
        """How many lines of each file of strace were counted."""
        self._office = paho.Client(CallbackAPIVersion.VERSION2)

    def start(self) -> None:
        """Run it until it is at its broker and idle; then it knows who may order."""
        self._folder.mkdir()
        (self._folder / "node.toml").write_text(self._configured())
        command = [sys.executable, "-P", "-m", "node.shell.cli", "run", "--status", "0.5"]
        command += ["--config", f"{self._folder}/node.toml", "--sink", f"wav:{self._wav}"]
        if self._traced:
            trace = [
                "strace",
                "-D",
                "-ff",
                "--seccomp-bpf",
                "-y",
                "-s",
                "0",
                "-e",
                f"trace={_TRACED}",
            ]
            command = [*trace, "-o", f"{self._folder}/trace", *command]
        self._status = (self._folder / "status").open("w")
        self._process = subprocess.Popen(
            command,
            cwd=self._tree,
            env={**os.environ, "PYTHONPATH": str(self._tree)},
            stdout=self._status,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self._office.connect("127.0.0.1", self._port)
        self._office.loop_start()
        if not self._told.wait(_START_S):
            raise SystemExit(f"order_cost: no node of {self._tree}: {''.join(self._lines)[-500:]}")
        claim = Certificate("c", _COMMUNE.public_key, "commune", AREA, MessageClass.URGENT, 1 << 39)
        self._order(_ROOT, Kind.CERTIFICATE, msgspec.json.encode(claim))
        time.sleep(_SETTLE_S)
        self.strokes()

    def stop(self) -> None:
        """End it."""
        self._office.loop_stop()
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)
        self._status.close()

    def warn(self) -> int:
        """Order a warning; return when, monotonic ns."""
        self._number += 1
        return self._order(_COMMUNE, Kind.SHORT_ALERT, encode_short("alert", self._number))

    def cancel(self) -> int:
        """End it; return when, monotonic ns."""
        content = encode_short("cancel", (1 << 32) + self._number, about=self._number)
        return self._order(_COMMUNE, Kind.SHORT_ALERT, content)

    def mute(self) -> int:
        """Order silence; return when, monotonic ns."""
        return self._order(_COMMUNE, Kind.MUTE, b"")

    def spent_s(self) -> float:
        """Return the CPU time of all its threads so far."""
        tasks = Path(f"/proc/{self._process.pid}/task")
        return sum(int((one / "schedstat").read_text().split()[0]) for one in tasks.iterdir()) / 1e9

    def strokes(self) -> Strokes:
        """Return what it did to its store since the last call."""
        if not self._traced:
            return Strokes()
        # One file for each thread: no call is cut in two by another's.
        files = sorted(self._folder.glob("trace.*"))
        lines = [line for one in files for line in self._fresh(one)]
        done = Strokes()
        for line in lines:
            found = _LINE.search(line)
            if found is None or "kept.db" not in found[2]:
                continue
            call, size_bytes = found[1], int(found[3])
            if "write" in call:
                done.written_bytes += size_bytes
                done.blocks += -(-size_bytes // BLOCK_BYTES)
            elif "sync" in call:
                done.batches += 1
        return done

    def waited_ms(self, ordered_ns: list[int]) -> NDArray[np.float64]:
        """End it; return the ms from each order to the first sample after it: (n,) float64.

        Left out: what did not sound within a second, and what came while the one before still did.
        """
        self.stop()
        statuses = [json.loads(one) for one in self._status_lines()]
        # The card asks for period n at begin + n periods: a status tells n a little late.
        begin_ns = min(
            one["monotonic_ns"] - one["shell"]["periods"] * PERIOD_NS
            for one in statuses
            if one["shell"]["periods"]
        )
        with wave.open(str(self._wav)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0
        loud = np.flatnonzero(np.abs(sound) > _LOUD)
        begins = np.array(
            [np.searchsorted(loud, self._sample(one, begin_ns)) for one in ordered_ns]
        )
        begins = np.minimum(begins, len(loud) - 1)
        at_ns = begin_ns + loud[begins] * 1e9 / RATE_HZ
        waited: NDArray[np.float64] = (at_ns - np.array(ordered_ns)) / NS_PER_MS
        heard: NDArray[np.float64] = waited[(waited > 0) & (waited < _GIVE_UP_MS)]
        return heard

    @property
    def _wav(self) -> Path:
        return self._folder / "out.wav"

    def _fresh(self, trace: Path) -> list[str]:
        lines = trace.read_text(errors="replace").splitlines()
        fresh, self._seen[trace] = lines[self._seen.get(trace, 0) :], len(lines)
        return fresh

    def _sample(self, at_ns: int, begin_ns: int) -> int:
        return int((at_ns - begin_ns) * RATE_HZ // 1_000_000_000)

    def _status_lines(self) -> list[str]:
        return (self._folder / "status").read_text().splitlines()

    def _order(self, by: SeedSigner, kind: Kind, content: bytes) -> int:
        self._counter += 1
        message = Message(
            kind=kind,
            key_id=by.key_id,
            counter=self._counter,
            issued_s=int(time.time()),
            ttl_s=3600,
            message_class=MessageClass.URGENT,
            area=AREA,
            content=content,
        )
        sealed = seal(message, by)
        now_ns = time.monotonic_ns()
        self._office.publish(f"pa/v1/cost/node/{self._name}/cmd", sealed, qos=1)
        return now_ns

    def _listen(self) -> None:
        assert self._process.stderr is not None, "a pipe was asked for"
        for line in self._process.stderr:
            self._lines.append(line)
            del self._lines[:-50]
            if ": connected" in line:
                self._told.set()

    def _configured(self) -> str:
        siren = _siren()
        digest = hashlib.sha256(siren).hexdigest()
        (self._folder / f"{digest}.opus").write_bytes(siren)
        return f"""
name = "{self._name}"
[opus]
decoder = "libopus"
[receive]
listen = "127.0.0.1:{free_port()}"
[mqtt]
host = "127.0.0.1"
port = {self._port}
village = "cost"
[store]
path = "{self._folder}/kept.db"
[control]
root_public_key = "{_ROOT.public_key.hex()}"
area = "{AREA}/{self._name}"
rules = []
clock = "trusted"
media_folder = "{self._folder}"
[control.alert]
interval_s = 0
[control.alert.phrases.any]
siren = "{digest}"
siren_s = 1
"""


def _siren() -> bytes:
    """Return a second of a tone as Ogg Opus."""
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, options={"frame_duration": "20"})
        stream.layout = "mono"
        sound = 0.5 * np.sin(2 * np.pi * 800 * np.arange(RATE_HZ) / RATE_HZ)
        frame = av.AudioFrame.from_ndarray(
            (sound * 32767).astype(np.int16)[None, :], format="s16", layout="mono"
        )
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()
