"""The network between sender and nodes of a rig: loopback with a relay, or namespaces with one."""

import json
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.rig import namespaces
from benchmarks.rig.impairment import Impairment
from benchmarks.rig.jack_rig import RigError, hurry

KINDS: Final = ("relay", "namespaces", "multicast")
POLES: Final = 2
SENDER: Final = "sender"

_GROUP: Final = "239.192.7.1"
_PORT: Final = 5004
_RELAY_PRIORITY: Final = 45
"""Below the nodes (50) and the card (60): a relay that came before them would flatter them."""

Start = Callable[..., "subprocess.Popen[str]"]
"""Start a program that the rig ends: `start(*command)`."""


class Network(Protocol):
    """Where the sender and the nodes are, and what happens on the way."""

    kind: str

    def start(self, start: Start, python: str) -> None:
        """Start the relay; returns when it relays."""

    def at(self, place: str, *command: str) -> tuple[str, ...]:
        """Return the command that runs `command` at `place`: `SENDER`, or `pole(index)`."""

    def receive(self, index: int) -> str:
        """Return the node's table `[receive]`."""

    def listens(self, index: int) -> str:
        """Return where the node itself listens, behind no relay, as host:port."""

    def destinations(self) -> list[str]:
        """Return where a sender sends to, each as host:port."""


def require(kind: str) -> None:
    """Raise RigError, before anything is started, if a kind of network cannot be had here."""
    if kind != "relay":
        try:
            namespaces.require()
        except namespaces.NamespaceError as fault:
            raise RigError(f"--network {kind}: NOTHING MEASURED: {fault}") from fault


def pole(index: int) -> str:
    """Return the name of a node's place."""
    return f"pole-{index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run may be given beside its case."""

    kind: str = "relay"
    """Of the network, one of `KINDS`."""

    seed: int = 1
    """Of the network's draws."""


def network(setting: Setting, impairment: Impairment) -> Network:
    """Return a network that is not started yet."""
    if setting.kind == "relay":
        return RelayNetwork(impairment, seed=setting.seed)
    return NamespaceNetwork(impairment, seed=setting.seed, multicast=setting.kind == "multicast")


def free_port() -> int:
    """Return a port that nobody listened on just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class RelayNetwork:
    """All on 127.0.0.1, each node behind a port of `benchmarks.rig.relay`."""

    kind = "relay"

    def __init__(self, impairment: Impairment, *, seed: int) -> None:
        self._options = [*impairment.options(), f"--seed={seed}"]
        self._ports = [free_port() for _ in range(POLES)]
        self._relay_ports = [free_port() for _ in range(POLES)]

    def start(self, start: Start, python: str) -> None:
        """Start the relay; returns when it relays."""
        pairs = [
            f"--pair={own}=127.0.0.1:{to}"
            for own, to in zip(self._relay_ports, self._ports, strict=True)
        ]
        one = start(python, "-m", "benchmarks.rig.relay", *pairs, *self._options)
        assert one.stdout is not None
        one.stdout.readline()
        hurry(one.pid, _RELAY_PRIORITY)

    def at(self, _: str, *command: str) -> tuple[str, ...]:
        """Return `command`: there is one place."""
        return command

    def receive(self, index: int) -> str:
        """Return the node's table `[receive]`."""
        return f'listen = "{self.listens(index)}"\n'

    def listens(self, index: int) -> str:
        """Return where the node itself listens, as host:port."""
        return f"127.0.0.1:{self._ports[index]}"

    def destinations(self) -> list[str]:
        """Return the relay's ports."""
        return [f"127.0.0.1:{port}" for port in self._relay_ports]


class NamespaceNetwork:
    """The sender and each node in a network namespace of its own (`benchmarks.rig.namespaces`).

    Addresses, interfaces, MTU and both directions of everything are real; the card and the clocks
    stay the machine's.
    """

    def __init__(self, impairment: Impairment, *, seed: int, multicast: bool = False) -> None:
        self.kind = "multicast" if multicast else "namespaces"
        self._multicast = multicast
        self._options = [*impairment.options(), f"--seed={seed}"]
        self._enter: dict[str, list[str]] = {}
        places = [SENDER, *map(pole, range(POLES))]
        self.addresses = {name: f"10.77.0.{1 + at}" for at, name in enumerate(places)}

    def start(self, start: Start, python: str) -> None:
        """Start the relay; returns when it relays."""
        places = [f"--place={name}={address}" for name, address in self.addresses.items()]
        one = start(
            python, "-m", "benchmarks.rig.namespaces", "--with-parent", *places, *self._options
        )
        assert one.stdout is not None
        self._enter = json.loads(one.stdout.readline())["enter"]
        hurry(one.pid, _RELAY_PRIORITY)

    def at(self, place: str, *command: str) -> tuple[str, ...]:
        """Return the command that runs `command` at `place`."""
        return (*self._enter[place], *command)

    def receive(self, index: int) -> str:
        """Return the node's table `[receive]`."""
        if self._multicast:
            return f'listen = "0.0.0.0:{_PORT}"\nmulticast_group = "{_GROUP}"\n'
        return f'listen = "{self.listens(index)}"\n'

    def listens(self, index: int) -> str:
        """Return where the node itself listens, as host:port."""
        return f"{self.addresses[pole(index)]}:{_PORT}"

    def destinations(self) -> list[str]:
        """Return the nodes' own addresses, or the group's."""
        if self._multicast:
            return [f"{_GROUP}:{_PORT}"]
        return [self.listens(index) for index in range(POLES)]
