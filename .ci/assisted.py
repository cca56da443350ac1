"""What of this tree runs beside Home Assistant: a node that is heard, a station with a bridge.

Both go through the command lines, in an interpreter that has the tree's packages.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

NAME, VILLAGE, PREFIX = "coc-1", "huu-lien", "homeassistant"


def free_port(kind: int) -> int:
    """Return a port that nobody has."""
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def there() -> dict[str, str]:
    """Return the environment in which this tree is found, and mosquitto."""
    path = os.environ["PATH"] + ":/usr/sbin"
    return {**os.environ, "PYTHONPATH": str(Path.cwd()), "PATH": path}


class Processes:
    """What was started, and ends with it."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._running: list[subprocess.Popen[str]] = []

    async def end(self, how: int = signal.SIGKILL) -> None:
        """End what was started last."""
        last = self._running.pop()
        last.send_signal(how)
        await asyncio.to_thread(last.communicate, timeout=20)

    async def close(self) -> None:
        """End all, the last first."""
        while self._running:
            await self.end()

    def _command(self, module: str, *words: object) -> list[str]:
        return [self._python, "-P", "-m", module, *map(str, words)]

    def _begin(self, asked: list[str], stdout: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        one = subprocess.Popen(asked, env=there(), text=True, stdout=stdout, **quiet)
        self._running.append(one)
        return one


class Node(Processes):
    """A node of this tree, with a sender that it hears."""

    def __init__(self, python: str, folder: Path, broker_port: int) -> None:
        super().__init__(python)
        self._port = free_port(socket.SOCK_DGRAM)
        self._config = folder / "node.toml"
        self._config.write_text(
            f'name = "{NAME}"\n[receive]\nlisten = "127.0.0.1:{self._port}"\n'
            f'[sink]\nkind = "null"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker_port}\n'
            f'village = "{VILLAGE}"\nhome_assistant = "{PREFIX}"\n'
        )

    def run(self) -> None:
        """Start it."""
        self._begin(self._command("node.shell.cli", "run", "--config", self._config))

    def hear(self) -> None:
        """Start the sender."""
        siren, to = min(Path("sim/speech").glob("siren.*.opus")), f"127.0.0.1:{self._port}"
        self._begin(self._command("sim.sender.cli", siren, "--to", to, "--loop"))


class Station(Processes):
    """A station that lets Home Assistant in, its broker and a node that it has enrolled."""

    def __init__(self, python: str, folder: Path) -> None:
        super().__init__(python)
        self.folder, self.port = folder / "station", free_port(socket.SOCK_STREAM)
        self._gateway, self._pid = folder / "gateway", folder / "pid"
        self._gateway.mkdir()
        broker = folder / "broker"
        self.does(
            *("init", "--area", f"vn/lang-son/{VILLAGE}", "--broker", f"127.0.0.1:{self.port}"),
            *("--broker-folder", broker, "--reload", f"sh -c 'kill -HUP $(cat {self._pid})'"),
            *("--siren", min(Path("sim/speech").glob("siren.*.opus"))),
        )
        settings = self.folder / "node.toml"
        text = settings.read_text().replace('kind = "card"', 'kind = "null"')
        listen = f'[receive]\nlisten = "127.0.0.1:{free_port(socket.SOCK_DGRAM)}"\n'
        settings.write_text(f'{listen}[control]\nclock = "trusted"\nrules = []\n{text}')
        for one in (folder, broker, *broker.iterdir()):
            one.chmod(0o755)  # mosquitto becomes a user of its own
        running = self._begin(["mosquitto", "-c", str(broker / "mosquitto.conf")])
        self._pid.write_text(str(running.pid))

    def does(self, *words: object) -> str:
        """Run a command of the station."""
        asked = self._command("node.shell.station.cli", *words, "--folder", self.folder)
        done = subprocess.run(asked, env=there(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"assisted.py: {asked}: {done.stdout}{done.stderr}")
        return done.stdout

    def enrol(self) -> None:
        """Enrol a node, and let it run."""
        where = ("--config", self._gateway / "node.toml")
        named = (self.folder / f"{VILLAGE}.bundle", "--name", NAME, "--folder", self._gateway)
        asked = self._command("node.shell.cli", "enrol", *named, *where)
        asking = self._begin(asked, stdout=subprocess.PIPE)
        assert asking.stdout is not None
        code = next(m[1] for one in asking.stdout if (m := re.search(r"accept (\S{14})$", one)))
        self.does("accept", code)
        asking.wait(60)
        self._begin(self._command("node.shell.cli", "run", *where))

    def bridge(self) -> None:
        """Start the bridge."""
        run = ("home-assistant", "run", "--folder", self.folder)
        self._begin(self._command("node.shell.station.cli", *run))
