"""A page for who stands at the pole, and figures for Prometheus; both are only read.

```
GET /             what a person wants to know, as text
GET /status.json  the same for programs
GET /metrics      Prometheus text, version 0.0.4
```
A handful of connections at once, a short question, a short time for each: who is slow is cut off.
The status is asked for at most once a second, whoever asks how often.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from node.shell.clocks import now_ns
from node.shell.faults import bind_fault
from node.shell.figures import prometheus_text
from node.units import NS_PER_S

CONNECTIONS_MAX: Final = 8
QUESTION_BYTES_MAX: Final = 4096
ANSWER_S: Final = 5.0
"""For question and answer together."""
FRESH_NS: Final = NS_PER_S

Status = Callable[[], dict[str, Any]]


class Page:
    """The server; `status` is asked on the loop's thread."""

    def __init__(self, address: str, port: int, status: Status) -> None:
        self._address = address
        self._port = port
        self._status = status
        self._server: asyncio.Server | None = None
        self._open = 0
        self._kept: tuple[int, dict[str, Any]] | None = None
        self.refused = 0
        """Connections beyond those that may be open at once, and who was too slow."""

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        ShellError
            If the port cannot be had.
        """
        try:
            self._server = await asyncio.start_server(
                self._serve, self._address, self._port, limit=QUESTION_BYTES_MAX, backlog=8
            )
        except OSError as fault:
            raise bind_fault(f"{self._address}:{self._port}", fault, what="page") from fault

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS_MAX:
            self.refused += 1
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._answer(reader, writer)
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            self.refused += 1
        finally:
            self._open -= 1
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            question = b""
        words = question.split(b"\r\n", 1)[0].split(b" ")
        code, kind, body = "404 Not Found", "text/plain", "/, /status.json or /metrics\n"
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            code, body = "405 Method Not Allowed", "GET only\n"
        elif (found := self._found(words[1])) is not None:
            code, (kind, body) = "200 OK", found
        data = body.encode()
        head = (
            f"HTTP/1.1 {code}\r\nContent-Type: {kind}; charset=utf-8\r\n"
            f"Content-Length: {len(data)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + (b"" if words[0] == b"HEAD" else data))
        writer.write_eof()
        await writer.drain()
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readexactly(1)  # until the other end has read it all, and closed

    def _found(self, path: bytes) -> tuple[str, str] | None:
        status = self._fresh()
        if path == b"/metrics":
            return "text/plain; version=0.0.4", prometheus_text(status)
        if path == b"/status.json":
            return "application/json", json.dumps(status) + "\n"
        if path == b"/":
            return "text/plain", _lines(status)
        return None

    def _fresh(self) -> dict[str, Any]:
        now = now_ns()
        if self._kept is None or now - self._kept[0] > FRESH_NS:
            self._kept = (now, self._status())
        return self._kept[1]


def _lines(status: Mapping[str, Any], indent: str = "") -> str:
    """Return a nested status as indented lines."""
    told = ""
    for name, value in status.items():
        if isinstance(value, Mapping):
            told += f"{indent}{name}\n{_lines(value, indent + '  ')}"
        elif isinstance(value, list | tuple):
            told += f"{indent}{name}\n"
            for one in value:
                inner = indent + "  "
                told += _lines(one, inner) + "\n" if isinstance(one, Mapping) else f"{inner}{one}\n"
        else:
            told += f"{indent}{name}  {value}\n"
    return told
