"""Stored sounds over the broker: pieces that it keeps, taken in order, and resumed.

```
 pa/v1/<village>/media/<SHA-256>/<number>     64 KiB each, retained
```
A node asks for the pieces that it has not, and believes the whole by its hash alone.
"""

import asyncio
import hashlib
import os
import re
from itertools import count
from pathlib import Path
from typing import Final

from node.shell.broker.connection import Connection
from node.shell.enrol.papers import Sound
from node.shell.faults import ShellError, file_fault
from node.shell.sounds.library import FILE_BYTES_MAX
from node.shell.store.whole import sync_folder

PIECE_BYTES: Final = 64 * 1024
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_AT_ONCE: Final = 8
"""Pieces under way."""
_PIECE_S: Final = 20.0
"""What has not come by then is not there."""


def piece_topic(village: str, digest: str, number: int) -> str:
    """Return where a piece of a sound is."""
    return f"pa/v1/{village}/media/{digest}/{number}"


def pieces(data: bytes) -> list[bytes]:
    """Return a file in pieces, at least one."""
    return [data[i : i + PIECE_BYTES] for i in range(0, max(len(data), 1), PIECE_BYTES)]


async def offer(connection: Connection, village: str, sound: Sound, data: bytes) -> None:
    """Give a sound to the broker, for good."""
    topics = (piece_topic(village, sound.digest, number) for number in count())
    sent = [
        connection.publish(next(topics), piece, quality=1, retain=True) for piece in pieces(data)
    ]
    if max(await asyncio.gather(*sent)) >= 128:
        raise ShellError(f"the broker refuses sounds below pa/v1/{village}/media: look at its ACL")


async def fetch(connection: Connection, village: str, sound: Sound, folder: Path) -> None:
    """Put `sound` into `folder`, unless it is there; go on where an earlier attempt ended.

    Raises
    ------
    ShellError
        If it does not come, or is another one than was named.
    """
    whole, partial = folder / f"{sound.digest}.opus", folder / f"{sound.digest}.partial"
    if not 0 < sound.size_bytes <= FILE_BYTES_MAX or not _DIGEST.fullmatch(sound.digest):
        raise ShellError(f"sound {sound.digest[:64]!r}, {sound.size_bytes} bytes: no such sound")
    if whole.exists():
        return
    total = -(-sound.size_bytes // PIECE_BYTES)
    try:
        held = partial.stat().st_size // PIECE_BYTES if partial.exists() else 0
        with partial.open("r+b" if held else "wb") as file:
            file.seek(held * PIECE_BYTES)
            file.truncate()
            for first in range(held, total, _AT_ONCE):
                wanted = range(first, min(first + _AT_ONCE, total))
                for piece in await _take(connection, village, sound.digest, wanted):
                    file.write(piece)
            file.flush()
            os.fsync(file.fileno())  # before it has its name: a sound that is there is whole
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        if digest != sound.digest:
            partial.unlink()
            raise ShellError(
                f"sound {sound.digest}: what the broker has is {digest}; offer it again"
            )
        partial.replace(whole)
        sync_folder(folder)
    except OSError as fault:
        raise file_fault(partial, fault) from fault


async def _take(connection: Connection, village: str, digest: str, wanted: range) -> list[bytes]:
    """Return the pieces with these numbers, in order."""
    topics = {piece_topic(village, digest, number): number for number in wanted}
    found: dict[int, bytes] = {}
    await connection.subscribe(list(topics))
    try:
        async with asyncio.timeout(_PIECE_S):
            while len(found) < len(topics):
                message = await connection.receive()
                connection.acknowledge(message)
                if message.topic in topics and len(message.payload) <= PIECE_BYTES:
                    found[topics[message.topic]] = message.payload
    except TimeoutError as fault:
        number = next(one for one in wanted if one not in found)
        raise ShellError(
            f"sound {digest}: piece {number} does not come; `loalang-station send` offers it"
        ) from fault
    finally:
        await connection.unsubscribe(list(topics))
    return [found[number] for number in wanted]
