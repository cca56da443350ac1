"""Spoken words of a warning, got by https within a time, a size and a digest, or not at all.

Each attempt has a thread of its own that nobody waits for: the siren sounds meanwhile, and what did
not come when its turn is there is spoken by the stored phrase.
"""

import hashlib
import http.client
import logging
import ssl
import threading
import time
from typing import Final
from urllib.parse import urljoin, urlsplit

from node.control.warning.alert import AUDIO_BYTES_MAX
from node.events import FetchFile
from node.shell.config import FetchConfig
from node.shell.faults import file_fault
from node.shell.sounds.library import WANTED, recording_of
from node.source.stored_sound import Recording

LOG: Final = logging.getLogger("loalang.fetch")

REDIRECTS_MAX: Final = 3
AT_ONCE_MAX: Final = 4
"""Fetches under way; a warning has as many as languages."""

KEPT_MAX: Final = 32
"""Fetched sounds in memory, two minutes each at most; the oldest goes first."""

_CHUNK_BYTES: Final = 64 * 1024


class Fetcher:
    """Gets files and puts their sound into the library.

    Parameters
    ----------
    config : FetchConfig
        Whom to ask, and how long.
    library : dict of str to Recording
        Shared with the speaker; a new entry appears whole.

    Raises
    ------
    ShellError
        If the certificate authority cannot be read.
    """

    def __init__(self, config: FetchConfig, library: "dict[str, Recording]") -> None:
        self._config = config
        self._library = library
        self._fetched: list[str] = []
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        try:
            self._tls = ssl.create_default_context(cafile=config.ca_file)
        except OSError as fault:
            raise file_fault(config.ca_file or "fetch.ca_file", fault) from fault

    def request(self, wanted: FetchFile) -> None:
        """Begin to get `wanted`, unless it is there or on its way."""
        with self._lock:
            full = len(self._asked) >= AT_ONCE_MAX
            if wanted.name in self._asked or wanted.name in self._library or full:
                return
            self._asked.add(wanted.name)
        threading.Thread(target=self._run, args=(wanted,), name="fetch", daemon=True).start()

    def _run(self, wanted: FetchFile) -> None:
        try:
            found = self._get(wanted)
            if isinstance(found, str):
                LOG.warning("%s: %s: the stored phrase will speak", wanted.url, found)
            else:
                self._keep(wanted.name, found)
        finally:
            with self._lock:
                self._asked.discard(wanted.name)

    def _get(self, wanted: FetchFile) -> Recording | str:
        size_max = min(wanted.size_bytes or AUDIO_BYTES_MAX, AUDIO_BYTES_MAX)
        data = get(wanted.url, size_max, self._config, self._tls)
        if isinstance(data, str):
            return data
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()  # CAP 1.2 knows no other
        if f"sha1:{digest}" != wanted.name:
            return f"its digest is {digest}"
        return recording_of(data) or f"no {WANTED}"

    def _keep(self, name: str, recording: Recording) -> None:
        with self._lock:
            self._library[name] = recording
            self._fetched.append(name)
            if len(self._fetched) > KEPT_MAX:
                self._library.pop(self._fetched.pop(0), None)
        LOG.info("%s: %.1f s of speech fetched", name, recording.packets / 50)


def get(url: str, size_max_bytes: int, config: FetchConfig, tls: ssl.SSLContext) -> bytes | str:
    """Return what is at `url`, at most `size_max_bytes` of it, or why not.

    Redirections lead no further than to the same host by https.
    """
    end_s = time.monotonic() + config.timeout_s
    try:
        for _ in range(REDIRECTS_MAX + 1):
            parts = urlsplit(url)
            refusal = _refused(url, config)
            if refusal is not None:
                return refusal
            found = _ask(url, size_max_bytes, end_s, tls)
            if not isinstance(found, _Elsewhere):
                return found
            url = urljoin(url, found.url)
            if urlsplit(url).netloc != parts.netloc:
                return "leads to another host"
    except (OSError, http.client.HTTPException, ValueError) as fault:
        late = time.monotonic() >= end_s
        return f"not in {config.timeout_s} s" if late else str(fault) or type(fault).__name__
    return "leads in circles"


class _Elsewhere:
    """A redirection."""

    def __init__(self, url: str) -> None:
        self.url = url


def _refused(url: str, config: FetchConfig) -> str | None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        return "only https without a name and password"
    if config.hosts and parts.hostname not in config.hosts:
        return f"{parts.hostname} is not one of fetch.hosts"
    return None


def _ask(
    url: str, size_max_bytes: int, end_s: float, tls: ssl.SSLContext
) -> bytes | str | _Elsewhere:
    parts = urlsplit(url)
    assert parts.hostname is not None
    left_s = max(end_s - time.monotonic(), 0.01)
    connection = http.client.HTTPSConnection(
        parts.hostname, parts.port or 443, timeout=left_s, context=tls
    )
    # A server that drips a byte now and then never runs into the timeout of one read.
    watchdog = threading.Timer(left_s, _abort, (connection,))
    watchdog.daemon = True
    watchdog.start()
    try:
        path = parts.path or "/"
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308):
            return _Elsewhere(answer.headers.get("Location", ""))
        if answer.status != 200:
            return f"answer {answer.status}"
        return _read(answer, size_max_bytes, end_s)
    finally:
        watchdog.cancel()
        connection.close()


def _read(answer: http.client.HTTPResponse, size_max_bytes: int, end_s: float) -> bytes | str:
    data = b""
    while time.monotonic() < end_s:
        chunk = answer.read1(min(_CHUNK_BYTES, size_max_bytes + 1 - len(data)))
        if not chunk:
            return data
        data += chunk
        if len(data) > size_max_bytes:
            return f"more than {size_max_bytes} bytes"
    return "not in time"


def _abort(connection: http.client.HTTPSConnection) -> None:
    one = connection.sock
    if one is not None:
        try:
            one.shutdown(2)
        except OSError:
            return  # it ended just now
