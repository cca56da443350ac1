"""`loalang-station proofs`: hear what the poles prove, believe what their keys vouch for, keep it.

```
 proofs/NAME-<key>.jsonl   records that are believed, as the node hashed them
 proofs/NAME-<key>.head    the newest head that it signed
```
Both are checked again at each start, so that a record changed in this folder shows as well. What
comes while this does not run waits at the broker for a month.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Final

from node.control.trust.signature import key_id
from node.shell.faults import EXIT_FAULT, EXIT_INPUT, ShellError
from node.shell.files import read_regular
from node.shell.poles.ledger import REPORTS, Believed, Ledger
from node.shell.poles.pole_list import Pole, read_poles
from node.shell.station.folder import POLES, Station
from node.shell.station.link import at_broker
from node.shell.store.whole import add_lines, write_file

FILE_BYTES_MAX: Final = 1 << 28
_AWAY_S: Final = 31 * 86_400


def hear_proofs(options: argparse.Namespace) -> int:
    """Print what is believed, and at the end what is not; return 1 when anything was not."""
    station = Station.open(options.folder)
    poles = read_poles(station.folder / POLES)
    ledger = Ledger(poles)
    folder = station.folder / "proofs"
    folder.mkdir(exist_ok=True)
    for name, pole in poles.items():
        _read(ledger, name, _file(folder, name, pole))
    for text in options.records:
        _add(ledger, folder, poles, text)
    if options.wait is None or options.wait > 0:
        try:
            asyncio.run(_hear(station, ledger, folder, poles, options.wait))
        except KeyboardInterrupt:
            print()
    return _verdict(ledger)


def _file(folder: Path, name: str, pole: Pole) -> Path:
    """Return where the records of a pole are; a gateway that replaced another has its own."""
    return folder / f"{name}-{key_id(pole.public_key).hex()}.jsonl"


def _read(ledger: Ledger, name: str, path: Path) -> None:
    """Take what was believed before."""
    head = path.with_suffix(".head")
    sealed = read_regular(head, FILE_BYTES_MAX) if head.exists() else b""
    lines = read_regular(path, FILE_BYTES_MAX).splitlines() if path.exists() else []
    ledger.take_records(name, lines, head=sealed)


def _add(ledger: Ledger, folder: Path, poles: dict[str, Pole], text: str) -> None:
    """Take records that `loalang-node proof` printed on the pole: they fill what was not heard."""
    name, _, path = text.partition("=")
    if name not in poles or not path:
        raise ShellError(
            f"--records {text}: must be NAME=FILE with a name of {POLES}", exit_status=EXIT_INPUT
        )
    lines = read_regular(Path(path), FILE_BYTES_MAX).splitlines()
    found = ledger.take_records(name, [line for line in lines if line.startswith(b"{")])
    _keep(_file(folder, name, poles[name]), found, b"")
    print(f"{name}: {len(found)} records of {path} are believed")


def _keep(path: Path, found: list[Believed], head: bytes) -> None:
    """Keep records, and then the head that led to them: after that the broker may forget them."""
    add_lines(path, [one.line for one in found if one.line])
    if head:
        write_file(path.with_suffix(".head"), head)


async def _hear(
    station: Station, ledger: Ledger, folder: Path, poles: dict[str, Pole], wait_s: float | None
) -> None:
    """Take what comes until the time is over, or for ever."""
    topics = [f"pa/v1/{station.about.village}/node/+/{one}" for one in REPORTS]
    identifier = f"proofs-{station.about.village}"
    async with at_broker(station, identifier=identifier, session_s=_AWAY_S) as connection:
        if max(await connection.subscribe(topics)) >= 128:
            raise ShellError("the broker refuses the subscription of the proofs: look at its ACL")
        end_s = None if wait_s is None else time.monotonic() + wait_s
        while True:
            try:
                left_s = None if end_s is None else max(end_s - time.monotonic(), 0.0)
                async with asyncio.timeout(left_s):
                    message = await connection.receive()
            except TimeoutError:
                return
            name = message.topic.split("/")[4]
            head = ledger.head_of(name)
            believed = ledger.take(message.topic, message.payload)
            for one in believed:
                print(one.text, flush=True)
            if ledger.head_of(name) != head or any(one.line for one in believed):
                _keep(_file(folder, name, poles[name]), believed, ledger.head_of(name))
            connection.acknowledge(message)


def _verdict(ledger: Ledger) -> int:
    """Say what each pole has proven, and who was not believed; return the exit status."""
    bad = False
    for name, one in sorted(ledger.proven.items()):
        gaps = sorted(one.wanted.values())
        text = f"{one.believed} of {one.number} records proven"
        if gaps:
            text += f", not heard from number {gaps[-1]} down"
        if one.contradicts:
            text += "; ITS KEY SIGNED TWO HISTORIES: a chain that began anew, or was changed"
            bad = True
        print(f"{name}: {text}")
    for names, what in (
        (ledger.forged, "spoke without its key"),
        (ledger.strangers, "is not in the list of poles"),
    ):
        for name, count in sorted(names.items())[:20]:
            print(f"NOT BELIEVED: {name} {what}, {count} times")
        if len(names) > 20:
            print(f"NOT BELIEVED: {len(names) - 20} more")
        bad |= bool(names)
    if ledger.unreadable:
        print(f"{ledger.unreadable} messages that are none")
    return EXIT_FAULT if bad else 0
