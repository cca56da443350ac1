"""`loalang-station replace NAME`: a gateway was stolen or broke; its name is free for another one.

From then on the broker lets it in no more, nothing that it signs is believed, and the next node
that is accepted under the name gets the same area and zones.
"""

import argparse
import asyncio
import shlex
import subprocess
from typing import Final

import msgspec

from node.shell.enrol.papers import grant_topic
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.station import broker_files, certificates
from node.shell.station.folder import Station
from node.shell.station.link import at_broker, put
from node.shell.store.whole import write_file

_RELOAD_S: Final = 30.0
_OTHERS: Final = "taken_back.json"
"""Serial numbers in hexadecimal digits of identities that were taken back from who is no node."""


def replace_node(options: argparse.Namespace) -> int:
    """Take the identity of a node back; return the exit status."""
    station = Station.open(options.folder)
    entry = station.node(options.name)
    if entry is None or not entry.public_key:
        names = ", ".join(one.name for one in station.nodes() if one.public_key)
        raise ShellError(
            f"{options.name}: no node has that name; known: {names or 'none'}",
            exit_status=EXIT_INPUT,
        )
    serials = (*entry.taken_back, certificates.serial_of(entry.certificate))
    free = msgspec.structs.replace(
        entry, public_key=b"", tls_key="", certificate="", nonce=b"", taken_back=serials
    )
    station.keep(free)
    write_revoked(station)
    reload_broker(station)
    asyncio.run(_clear(station, entry.public_key))
    print(f"{entry.name}: taken back; `loalang-node enrol` on the new gateway, then `accept CODE`")
    print(
        "sessions that nodes join (`order session --join`): sign them anew, with a new --join-key"
    )
    return 0


def write_revoked(station: Station) -> None:
    """Write the list of identities that were taken back, for the broker."""
    serials = {serial for one in station.nodes() for serial in one.taken_back}
    serials.update(_others_taken_back(station))
    ca, ca_key = station.read("ca.pem"), certificates.read_private(station.read("ca.key"))
    made = certificates.taken_back(sorted(serials), ca, ca_key)
    write_file(station.broker_folder / broker_files.REVOKED, made)


def take_identities_back(station: Station, serials: list[int]) -> None:
    """Note identities of who is no node, for the list that `write_revoked` writes."""
    known = sorted({*_others_taken_back(station), *serials})
    write_file(station.folder / _OTHERS, msgspec.json.encode([f"{one:x}" for one in known]))


def _others_taken_back(station: Station) -> list[int]:
    path = station.folder / _OTHERS
    if not path.exists():
        return []
    try:
        return [int(one, 16) for one in msgspec.json.decode(station.read(_OTHERS), type=list[str])]
    except (msgspec.DecodeError, ValueError) as fault:
        raise ShellError(f"{path}: {fault}", exit_status=EXIT_INPUT) from fault


def reload_broker(station: Station) -> None:
    """Let the broker read its list, by the command that `init` was given."""
    command = station.about.reload
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=_RELOAD_S, check=False
        )
        said = "" if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"
    except (OSError, ValueError, subprocess.TimeoutExpired) as fault:
        said = str(fault)
    if said:
        raise ShellError(
            f"`{command}`: {said}; until the broker reads its lists (SIGHUP) it lets in who was "
            "let in before"
        )


async def _clear(station: Station, public_key: bytes) -> None:
    async with at_broker(station) as connection:
        await put(connection, grant_topic(station.about.village, public_key), b"")
