"""A paced sound card without hardware (JACK's dummy driver), and a recorder on its sample clock."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.shell.steady import keep_steady

STALL_S: Final = 0.005
"""Half a period: so late, and what a card had in its buffer is spent."""
_READY_S: Final = 10.0


def forget_dead_servers(folder: Path = Path("/dev/shm"), processes: Path = Path("/proc")) -> None:
    """Forget the servers that were killed: JACK knows eight, and those of the dead stay for ever.

    Only where none lives: nobody but JACK can say whose an entry is.
    """
    for one in processes.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended
            if one.read_text().startswith("jackd"):
                return
    for left in folder.glob("jack*"):
        with contextlib.suppress(OSError):
            left.unlink()


def hurry(pid: int, priority: int) -> bool:
    """Give all threads of `pid` real-time priority, as a gateway's service has; if root allows.

    On a busy machine the rig would else measure the scheduler's queues. Return whether it did.
    """
    done = False
    with contextlib.suppress(PermissionError, ProcessLookupError, FileNotFoundError):
        for task in os.listdir(f"/proc/{pid}/task"):
            policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
            os.sched_setscheduler(int(task), policy, os.sched_param(priority))
            done = True
    return done


@dataclass
class Host:
    """How the machine treated the card while it was recorded."""

    real_time: bool
    xruns: int = 0
    stall_max_ms: float = 0.0
    stalls_samples: "NDArray[np.int64]" = field(default_factory=lambda: np.zeros(0, np.int64))
    """Where in the recording periods came late by more than `STALL_S`."""

    def told(self) -> dict[str, Any]:
        """Return it, JSON-able."""
        return {
            "real_time": self.real_time,
            "xruns": self.xruns,
            "stalls": int(self.stalls_samples.size),
            "stall_max_ms": round(self.stall_max_ms, 2),
        }


class RigError(RuntimeError):
    """Something from Debian or pip is missing, or did not start; the text says what to do."""


class JackServer:
    """`jackd` with the dummy driver: asks for sound in real time by the system's own clock.

    Parameters
    ----------
    name : str
        Of the server, so that it meddles with no other.
    rate_hz : int
        48005 while the nodes believe 48000 is a crystal that is 104 ppm fast.
    period_samples : int
        Asked for at a time.

    Raises
    ------
    RigError
        If jackd is not installed or does not answer.
    """

    def __init__(self, name: str, *, rate_hz: int = 48_000, period_samples: int = 480) -> None:
        if shutil.which("jackd") is None:
            raise RigError("jackd is missing: apt install jackd2")
        self.environment = os.environ | {
            "JACK_DEFAULT_SERVER": name,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
        }
        self.rate_hz = rate_hz
        forget_dead_servers()
        self._process = subprocess.Popen(
            ["jackd", "-n", name, "-r", "-d", "dummy", "-r", str(rate_hz),
             "-p", str(period_samples), "-C", "1", "-P", "1"],
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + _READY_S
        while subprocess.run(["jack_lsp"], env=self.environment, capture_output=True).returncode:
            if time.monotonic() > end or self._process.poll() is not None:
                self.close()
                raise RigError("jackd did not start: run it by hand and read what it says")
            time.sleep(0.1)
        hurry(self._process.pid, 60)

    def signal(self, number: int) -> None:
        """Let the server die or stand still, as one in the field does."""
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait(timeout=10)

    def close(self) -> None:
        """Stop the server."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        self._process.wait(timeout=10)


class Recorder:
    """Record the output of several nodes on one sample clock, with the monotonic time of it.

    Parameters
    ----------
    server : JackServer
        Whose clients are recorded.
    inputs : int
        How many nodes.

    Raises
    ------
    RigError
        If the package JACK-Client is missing.
    """

    def __init__(self, server: JackServer, inputs: int) -> None:
        try:
            import jack
        except ImportError as fault:
            raise RigError("JACK-Client is missing: pip install JACK-Client") from fault
        os.environ.update(server.environment)
        self._client: Any = jack.Client("recorder", no_start_server=True)
        self._inputs = [self._client.inports.register(f"in{i}") for i in range(inputs)]
        self._blocks: list[tuple[int, int, list[NDArray[np.float32]]]] = []
        self._library = jack
        self._heard: set[str] = set()
        self._places: dict[str, int] = {}
        self._seen = self._outputs()
        self._used = 0
        self.host = Host(real_time=False)

        @self._client.set_process_callback  # type: ignore[untyped-decorator]
        def process(_: int) -> None:
            blocks = [one.get_array().copy() for one in self._inputs]
            self._blocks.append((self._client.last_frame_time, time.monotonic_ns(), blocks))

        @self._client.set_xrun_callback  # type: ignore[untyped-decorator]
        def xrun(_: float) -> None:
            self.host.xruns += 1

        keep_steady()
        self._client.activate()
        self.host.real_time = hurry(os.getpid(), 55)

    def connect_new(self) -> None:
        """Connect the output that appeared since the last call to the next input."""
        end = time.monotonic() + _READY_S
        while not (new := self._outputs() - self._seen) or not self._connected(min(new)):
            if time.monotonic() > end:
                raise RigError("the node opened no output on JACK")
            time.sleep(0.02)
        client = min(new).partition(":")[0]
        self._places[_program(client)] = self._used
        self._used += 1
        self._heard.add(client)
        self._seen = self._outputs()

    def connect_again(self) -> None:
        """Connect what a recorded program has opened anew, as it does after an outage."""
        for name in sorted(self._outputs()):
            client = name.partition(":")[0]
            place = self._places.get(_program(client))
            if client in self._heard or place is None:
                continue
            with contextlib.suppress(self._library.JackError):  # not active yet
                self._client.connect(name, self._inputs[place].name)
                self._heard.add(client)

    def _connected(self, name: str) -> bool:
        """Connect an output; False while its client is not yet active."""
        with contextlib.suppress(self._library.JackError):
            self._client.connect(name, self._inputs[self._used].name)
            return True
        return False

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Stop; return the sound and the clock.

        The sound is (samples, inputs) float32, full scale 1.0. The clock is (2, blocks) float64: by
        row sample and monotonic time in s. When the server itself stalls, samples stop while time
        goes on, so that one offset for all of the recording would be wrong.
        """
        self._client.deactivate()
        self._client.close()
        blocks = self._blocks[1:]
        first = blocks[0][0]
        last_at, _, last = blocks[-1]
        sound = np.zeros((last_at - first + last[0].size, len(last)), np.float32)
        for at, _, parts in blocks:
            for index, part in enumerate(parts):
                sound[at - first : at - first + part.size, index] = part
        clock = np.array([[at - first, now / 1e9] for at, now, _ in blocks]).T
        late_s = np.diff(clock[1]) - np.median(np.diff(clock[1]))
        self.host.stall_max_ms = 1000 * float(late_s.max(initial=0.0))
        self.host.stalls_samples = clock[0, 1:][late_s > STALL_S].astype(np.int64)
        return sound, clock

    def _outputs(self) -> set[str]:
        ports = self._client.get_ports(is_output=True, is_audio=True)
        own = ("system", "recorder", *self._heard)  # a client's second channel is not another one
        return {p.name for p in ports if p.name.partition(":")[0] not in own}


def _program(client: str) -> str:
    """Return what stays of a client's name when its program opens the device anew.

    ALSA's plugin calls itself snapclient.P.<process>.<count>.
    """
    return client.rpartition(".")[0] or client
