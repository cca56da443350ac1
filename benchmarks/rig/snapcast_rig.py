"""Snapcast on the same programme and network: two clients, recorded as our nodes are.

Its clients play through ALSA into JACK (the ALSA plugin of type jack), so that both systems are
recorded by one recorder on the sample clock of one card and judged by the same code. Its transport
is TCP. In namespaces its packets and acknowledgements are delayed and lost as ours are; on loopback
delay and jitter are put on the byte stream, in order, and loss is left out, which favours it. What
differs besides: its buffer is 1000 ms (its default) and not 400, its sound is FLAC, and ALSA's
plugin adds a buffer between the client and the card, alike for both clients.

Debian's libasound2-plugins has the plugin, but once installed its configuration hides JACK from
PortAudio, by which our nodes play. So unpack it beside (`apt-get download libasound2-plugins`,
`dpkg -x`), and name the plugin's file in LOALANG_ALSA_JACK.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.rig.impairment import Impairment
from benchmarks.rig.jack_rig import JackServer, Recorder, RigError, hurry
from benchmarks.rig.live_source import LiveSource
from benchmarks.rig.real_village import CLEAN, OUTAGE_S, Recording, Row, programme
from benchmarks.rig.rig_network import POLES, SENDER, NamespaceNetwork, Setting, free_port, pole
from benchmarks.rig.tcp_relay import TcpRelay

_RATE_HZ: Final = 48_000
_BYTES: Final = 4  # a sample of both channels, 16 bits
_BLOCK_SAMPLES: Final = _RATE_HZ // 50
"""Written at a time: 3840 bytes, below the 4096 that a pipe takes whole or not at all (pipe(7))."""
_BLOCK_S: Final = _BLOCK_SAMPLES / _RATE_HZ
_ALSA: Final = "/usr/share/alsa/alsa.conf"
_WARM_S: Final = 10.0
_PLUGIN: Final = Path("/usr/lib/x86_64-linux-gnu/alsa-lib/libasound_module_pcm_jack.so")
_LISTENS: Final = "0A"  # TCP_LISTEN as /proc/net/tcp writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapcastRun:
    """One run of a server and two clients."""

    setting: Setting
    """The network; Snapcast has no multicast, so that is namespaces too."""

    impairment: Impairment = CLEAN
    """Of each direction to each client."""

    seconds: float = 25.0
    """Of the programme; with an outage, until the server dies."""

    outage: bool = False
    """The server dies, is started anew after `OUTAGE_S`, and `after_s` are recorded."""

    source_lives: bool = False
    """In the outage the source goes on and writes what the pipe takes, as a microphone would;
    else it ends with the server and begins the programme anew, as `loalang-send` does."""

    after_s: float = 16.0


def play_snapcast(run: SnapcastRun) -> Row:
    """Run it and return the figures of the cases of `real_sync`.

    Raises
    ------
    RigError
        If snapserver, snapclient or ALSA's plugin is missing.
    """
    for name in ("snapserver", "snapclient"):
        if shutil.which(name) is None:
            raise RigError(f"{name} is missing: apt install {name}")
    plugin = Path(os.environ.get("LOALANG_ALSA_JACK", _PLUGIN))
    if not plugin.is_file():
        raise RigError("ALSA's plugin for JACK is missing: see benchmarks/rig/snapcast_rig.py")
    server = JackServer(f"loalang-{free_port()}", rate_hz=_RATE_HZ)
    try:
        with tempfile.TemporaryDirectory() as name:
            recorder = Recorder(server, POLES)
            rig = _Rig(Path(name), run, server, plugin)
            try:
                rig.start()
                rig.play(recorder)
            finally:
                rig.close()
                sound, clock = recorder.finish()
            recording = Recording(sound, clock, _RATE_HZ, rig.marks, [], recorder.host)
    finally:
        server.close()
    row = recording.row() | {"bounds": {}}
    if run.outage:
        row |= recording.return_row(sent="sent" if run.source_lives else "again")
    return row


class _Rig:
    """One server fed from a pipe, a bad network to each client, and the card."""

    def __init__(self, folder: Path, run: SnapcastRun, server: JackServer, plugin: Path) -> None:
        self.marks: dict[str, float] = {}
        self._run = run
        self._folder = folder
        self._processes: list[subprocess.Popen[str]] = []
        self._relays: list[TcpRelay] = []
        self._environment = server.environment | {
            "ALSA_CONFIG_PATH": f"{_ALSA}:{folder / 'asound.conf'}"
        }
        (folder / "asound.conf").write_text(
            # Snapcast forbids ALSA to convert by itself, so the conversion is a device of its own;
            # it takes the first name that begins like the one it was given.
            f'pcm_type.jack {{ lib "{plugin}" }}\n'
            "pcm.card { type jack playback_ports { "
            '0 "system:playback_1" 1 "system:playback_1" } }\n'
            'pcm.pole { type lfloat slave { pcm "card" format FLOAT_LE } hint.show on }\n'
        )
        self._network: NamespaceNetwork | None = None
        if run.setting.kind != "relay":
            self._network = NamespaceNetwork(run.impairment, seed=run.setting.seed)
        host = "127.0.0.1" if self._network is None else self._network.addresses[SENDER]
        self._address = (host, free_port())
        self._source = LiveSource(folder / "programme.pipe", stays=run.source_lives)

    def start(self) -> None:
        """Start the network and the server."""
        host, port = self._address
        (self._folder / "snapserver.conf").write_text(
            f"[server]\ndatadir = {self._folder}\n[http]\nenabled = false\nport = {free_port()}\n"
            f"[tcp]\nenabled = true\nbind_to_address = {host}\nport = {free_port()}\n"
            f"[stream]\nbind_to_address = {host}\nport = {port}\nbuffer = 1000\ncodec = flac\n"
            f"source = pipe://{self._source.pipe}?name=village&mode=create"
            "&sampleformat=48000:16:2\n"
        )
        if self._network is not None:
            self._network.start(self._start, sys.executable)
        else:
            self._relays = [
                TcpRelay(port, self._run.impairment, seed=POLES * self._run.setting.seed + i)
                for i in range(POLES)
            ]
        self._server = self._start_server()

    def play(self, recorder: Recorder) -> None:
        """Play the programme behind some silence, and what the run asks for; and record."""
        run = self._run
        silence = [bytes(_BLOCK_SAMPLES * _BYTES)] * round(_WARM_S / _BLOCK_S)
        self._source.start(silence + _blocks(), _BLOCK_S)
        self.marks["sent"] = self._source.begun_s() + _WARM_S
        for index in range(POLES):
            host, port = self._address
            if self._relays:
                port = self._relays[index].door
            self._start_at(
                pole(index), "snapclient", "-h", host, "-p", str(port), "-i", str(index + 1),
                "--hostID", f"pole-{index}", "--player", "alsa", "-s", "pole", "--logsink", "null",
            )  # fmt: skip
            recorder.connect_new()
        for one in self._processes[1 if self._network is not None else 0 :]:
            hurry(one.pid, 50)
        _listen(recorder, self.marks["sent"] + run.seconds)
        if run.outage:
            self._break()
            _listen(recorder, self.marks["again"] + run.after_s)
        # What is in its buffer is played too.
        _listen(recorder, time.monotonic() + 1.5)

    def _break(self) -> None:
        self._server.kill()
        self._server.communicate()
        self.marks["killed"] = time.monotonic()
        if not self._run.source_lives:
            self._source.stop()
        time.sleep(OUTAGE_S)
        self._server = self._start_server()
        hurry(self._server.pid, 50)
        self.marks["again"] = time.monotonic()
        if not self._run.source_lives:
            self._source.start(_blocks(), _BLOCK_S)
            self.marks["again"] = self._source.begun_s()

    def close(self) -> None:
        """End everything."""
        self._source.stop()
        for relay in self._relays:
            relay.close()
        # The network, started first, ends last: it ends what is still in its namespaces.
        for one in reversed(self._processes):
            one.terminate()
            one.communicate(timeout=10)

    def _start_server(self) -> "subprocess.Popen[str]":
        one = self._start_at(SENDER, "snapserver", "-c", str(self._folder / "snapserver.conf"))
        end_s = time.monotonic() + 10
        while not _listens(one.pid, self._address[1]):
            if time.monotonic() > end_s or one.poll() is not None:
                raise RigError("snapserver did not start: run it by hand and read what it says")
            time.sleep(0.02)
        return one

    def _start_at(self, place: str, *command: str) -> "subprocess.Popen[str]":
        within = command if self._network is None else self._network.at(place, *command)
        return self._start(*within, stdout=subprocess.DEVNULL)

    def _start(self, *command: str, stdout: Any = subprocess.PIPE) -> "subprocess.Popen[str]":
        one = subprocess.Popen(
            command, env=self._environment, stdout=stdout, stderr=subprocess.DEVNULL, text=True
        )
        self._processes.append(one)
        return one


def _listen(recorder: Recorder, until_s: float) -> None:
    """Record until then; a client that lost its server opens the card anew."""
    while time.monotonic() < until_s:
        recorder.connect_again()
        time.sleep(0.02)


def _blocks() -> list[bytes]:
    """Return the programme in stereo, in blocks."""
    mono = (programme() * 32767).astype("<i2")
    sound = np.repeat(mono[:, None], 2, axis=1).tobytes()
    size = _BLOCK_SAMPLES * _BYTES
    return [sound[at : at + size] for at in range(0, len(sound), size)]


def _listens(pid: int, port: int) -> bool:
    """Return whether anybody in the network namespace of `pid` listens on a TCP port."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == _LISTENS for row in rows)
