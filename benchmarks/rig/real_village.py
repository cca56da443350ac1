"""Two real nodes on JACK, a bad network, a sender, and what they were heard to play."""

import json
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.rig import sync_measure as measure
from benchmarks.rig.impairment import Impairment
from benchmarks.rig.jack_rig import Host, JackServer, Recorder, RigError, hurry
from benchmarks.rig.rig_network import SENDER, Network, Setting, free_port, network, pole

PROGRAMME_S: Final = 50
SETTLE_S: Final = 2.0
OUTAGE_S: Final = 3.0
IN_STEP_MS: Final = 0.3
_LATE_S: Final = 15.0
_RECOVERY_S: Final = 5.0
"""After the host stopped the card for a while, the servo steers what that cost."""
_SSRC: Final = 0x10A1A26

CLEAN: Final = Impairment()

Row = dict[str, Any]


def programme() -> NDArray[np.float32]:
    """Return noise in the band of speech with a click each second, seeded.

    It is (n,) float32, full scale 1.0, at 48 kHz.
    """
    rng = np.random.default_rng(7)
    spectrum = np.fft.rfft(rng.standard_normal(PROGRAMME_S * 48_000))
    hz = np.fft.rfftfreq(PROGRAMME_S * 48_000, 1 / 48_000)
    spectrum[(hz < 200) | (hz > 3500)] = 0
    sound = np.fft.irfft(spectrum)
    sound *= 0.05 / np.std(sound)
    for second in range(PROGRAMME_S):
        sound[second * 48_000 + 960 : second * 48_000 + 1056] += 0.6
    return sound.astype(np.float32)


def write_programme(folder: Path) -> Path:
    """Write the programme as `programme.wav`, 16 bits."""
    path = folder / "programme.wav"
    with wave.open(str(path), "wb") as one:
        one.setnchannels(1)
        one.setsampwidth(2)
        one.setframerate(48_000)
        one.writeframes((programme() * 32767).astype("<i2").tobytes())
    return path


@dataclass
class Village:
    """Server, recorder, two nodes, a sender, and the network between them."""

    folder: Path
    server: JackServer
    recorder: Recorder
    network: Network
    delay_ms: int = 400
    sent_s: list[float] = field(default_factory=list)
    processes: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def start_network(self) -> None:
        """Start the network; returns when it relays."""
        self.network.start(self.start_program, sys.executable)

    def start_node(self, index: int, *, tables: str = "") -> float:
        """Start a node and connect it to the recorder; return when it was ready, monotonic s.

        tables  more of its configuration
        """
        config = self.folder / f"node-{index}.toml"
        config.write_text(
            f'name = "pole-{index}"\n[receive]\n{self.network.receive(index)}'
            f"[jitter]\nplayout_delay_ms = {self.delay_ms}\n"
            f'[sink]\ndevice = "JACK"\nrate_hz = {self.server.rate_hz}\n{tables}'
        )
        status = (self.folder / f"status-{index}.jsonl").open("w")
        one = self._start(
            pole(index), "node.shell.cli", "run", "--config", str(config), "--status", "1",
            stdout=status,
        )  # fmt: skip
        assert one.stderr is not None
        for line in one.stderr:
            if "ready" in line:
                ready_s = time.monotonic()
                hurry(one.pid, 50)
                self.recorder.connect_new()
                return ready_s
        raise RigError("a node ended before it was ready: is libportaudio2 installed?")

    def start_sender(
        self, *, pipe: Path | None = None, options: tuple[str, ...] = ()
    ) -> "subprocess.Popen[str]":
        """Start `loalang-send` through the network: the programme's file, or what is in a pipe.

        Returns when its first packet has left.
        """
        to = [f"--to={one}" for one in self.network.destinations()]
        file = str(self.folder / "programme.wav")
        command = [
            sys.executable,
            "-P",
            "-m",
            "sim.sender.cli",
            f"--ssrc={_SSRC}",
            "--announce",
            *to,
        ]
        command += options
        if pipe is None:
            command.append(file)
        else:
            # As an operator would; the shell opens the pipe, and the sender takes its place.
            command = ["sh", "-c", 'exec "$@" - --live < "$0"', str(pipe), *command]
        one = self.start_program(*self.network.at(SENDER, *command))
        assert one.stderr is not None
        self.sent_s.append(float(one.stderr.readline().split()[-1]) / 1e9)
        hurry(one.pid, 45)
        return one

    def statuses(self) -> list[dict[str, Any]]:
        """Return the last status of each node that was ended."""
        files = sorted(self.folder.glob("status-*.jsonl"))
        return [json.loads(one.read_text().splitlines()[-1]) for one in files]

    def stop(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """End all processes but the server; return the recording and its clock.

        They are (samples, inputs) float32, full scale 1.0, and (2, blocks) float64: sample, and
        monotonic time in s.
        """
        recording = self.recorder.finish()
        # The network, started first, ends last: it ends what is still in its namespaces.
        for group in (self.processes[1:], self.processes[:1]):
            for one in group:
                if one.poll() is None:
                    one.send_signal(signal.SIGTERM)
            for one in group:
                one.communicate(timeout=20)
        return recording

    def _start(
        self, place: str, module: str, *arguments: str, stdout: Any = None
    ) -> "subprocess.Popen[str]":
        command = self.network.at(place, sys.executable, "-P", "-m", module, *arguments)
        return self.start_program(*command, stdout=stdout)

    def start_program(self, *command: str, stdout: Any = None) -> "subprocess.Popen[str]":
        """Start any program in the surroundings of this village; `stop` ends it."""
        one = subprocess.Popen(
            command,
            env=self.server.environment,
            stdout=stdout if stdout is not None else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(one)
        return one


def in_village(
    play: Callable[[Village], dict[str, float]],
    judge: Callable[["Recording"], Row],
    *,
    setting: Setting,
    impairment: Impairment = CLEAN,
    rate_hz: int = 48_000,
) -> Row:
    """Set up everything, let `play` act, and judge the recording."""
    server = JackServer(f"loalang-{free_port()}", rate_hz=rate_hz)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_programme(folder)
            village = Village(folder, server, Recorder(server, 2), network(setting, impairment))
            try:
                village.start_network()
                marks = play(village)
            finally:
                sound, clock = village.stop()
            statuses = village.statuses()
            return judge(Recording(sound, clock, rate_hz, marks, statuses, village.recorder.host))
    finally:
        server.close()


@dataclass
class Recording:
    """What both nodes played, and when what happened."""

    sound: NDArray[np.float32]
    clock: NDArray[np.float64]
    rate_hz: int
    marks: dict[str, float]
    statuses: list[dict[str, Any]]
    host: Host

    def at(self, mark: str) -> float:
        """Return a mark in s since the recording began."""
        samples = np.interp(self.marks[mark], self.clock[1], self.clock[0])
        return float(samples) / self.rate_hz

    def errors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return begin in s and sync error in ms of each window, both (windows,) float64."""
        return measure.sync_errors_ms(self.sound, self.rate_hz)

    def return_row(self, *, sent: str = "again") -> Row:
        """Return how the nodes came back from an outage: marks `sent`, `killed` and `again`.

        sent  the mark when the programme began that is heard afterwards
        """
        again_s, killed_s = self.at("again"), self.at("killed")
        begins, errors = self.errors()
        after = begins > again_s
        step_s = measure.in_step_after_s(
            begins[after], errors[after], bound_ms=IN_STEP_MS, from_s=again_s
        )
        return {
            "in_step_after_s": round(step_s, 2),
            "delay_before_ms": self._delay_ms("sent", 0.0, killed_s),
            "delay_after_ms": self._delay_ms(sent, again_s + 3, np.inf),
        }

    def _delay_ms(self, sent: str, from_s: float, to_s: float) -> float:
        """Return the median delay behind the programme begun at a mark; inf if it is not heard.

        What both nodes do wrong alike shows here, and not in their distance.
        """
        begins, delays = measure.latencies_ms(
            self.sound[:, 0], programme(), self.rate_hz, self.at(sent)
        )
        # While the card stands still, no sample is counted, but the time that it took is.
        passed_s = np.interp(begins * self.rate_hz, *self.clock) - self.marks[sent]
        delays = delays + 1000 * (passed_s - (begins - self.at(sent)))
        heard = delays[(begins > from_s) & (begins < to_s)]
        return round(float(np.median(heard)), 1) if heard.size else float("inf")

    def row(self) -> Row:
        """Return what every case reports, from 2 s after the first sound on.

        Windows within `_RECOVERY_S` of a stall of the card are left out and counted, unless they
        are more than half; `with_disturbed_p95_ms` has them all.
        """
        begins, errors = self.errors()
        if begins.size == 0:
            begins, errors = np.array([0.0]), np.array([np.inf])
        disturbed = self._disturbed(begins)
        settled = begins - begins[0] >= min(SETTLE_S, begins[-1] - begins[0])
        every = np.abs(errors[settled])
        apart = np.abs(errors[settled & ~disturbed])
        apart = apart if 2 * apart.size >= every.size else every
        late = np.abs(errors[~disturbed & (begins - begins[0] >= _LATE_S)])
        sent = "sent" in self.marks
        return {
            "windows": int(begins.size),
            "windows_disturbed": int(np.count_nonzero(disturbed)),
            "p50_ms": round(float(np.median(apart)), 4),
            "p95_ms": round(float(np.quantile(apart, 0.95)), 4),
            "max_ms": round(float(apart.max()), 4),
            "with_disturbed_p95_ms": round(float(np.quantile(every, 0.95)), 4),
            "from_15_s_p95_ms": round(float(np.quantile(late, 0.95)), 4) if late.size else None,
            "first_click_ms": round(measure.first_click_ms(self.sound, self.rate_hz), 3),
            "delay_ms": self._delay_ms("sent", begins[0] + SETTLE_S, np.inf) if sent else None,
            "nodes": [_told(one) for one in self.statuses],
            "host": self.host.told(),
        }

    def _disturbed(self, begins_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which windows the host had stopped the card shortly before."""
        stalls_s = self.host.stalls_samples[:, None] / self.rate_hz
        after_s = begins_s + measure.WINDOW_S - stalls_s
        return np.asarray(((after_s >= 0) & (after_s < _RECOVERY_S)).any(axis=0))


def _told(status: dict[str, Any]) -> Row:
    """Return the part of a node's status that explains its sync.

    Sender and nodes share one clock here: by how much two nodes' `offset_ns` differ, and each
    `sender_ppm`, are the exchange's errors.
    """
    names = ("skew_ppm", "card_ppm", "offset_ns", "sender_ppm", "uncertainty_ms", "sync_error_ms",
             "neighbour", "hard_resyncs", "late_packets", "lost_packets")  # fmt: skip
    sources = status["sources"]
    told = {k: sources[-1].get(k) for k in names} if sources else {}
    shell = status["shell"]
    return told | {k: shell.get(k) for k in ("underruns", "jumps", "card_skew_ppm")}
