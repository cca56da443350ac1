"""Any sound that people have, by its name: read to its end over what is damaged, joined or chained.

```
name ─► file, pipe, URL ─► links of an Ogg chain ─► demux ─► decode ─► one rate and layout ─► blocks
            ▲                     each a file             │ damaged: left out, counted
            └── begin again: --loop, or a live URL that broke off
```
"""

import http.client
import io
import os
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from node.units import RATE_HZ
from sim.sender.sound.decoded import frames_of, missing_s, said_s_of
from sim.sender.sound.file_parts import FileParts
from sim.sender.sound.kept_file import KeptFile
from sim.sender.sound.ogg_links import PATTERN, OggLinks
from sim.sender.sound.pipe_parts import PipeParts
from sim.sender.sound.playlists import LOOK_BYTES, NO_SOUND, is_playlist
from sim.sender.sound.sound_faults import STALL_S, one_line, url_error
from sim.sender.sound.sound_shape import SoundShape

_LOOP_SAMPLES_MIN: Final = RATE_HZ // 50
"""A turn of a loop that is shorter would only open files."""
_REST_TOLD: Final = 1 << 9
_REST_MAX: Final = 1 << 12
"""More than this behind a sound may have been one; fewer bytes are notes of some program."""
_AGAIN_S: Final = (1.0, 2.0, 5.0)
"""Waits before a live station is asked again; the last one for ever."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE_URL: Final = re.compile(r"file://(?:localhost)?/", re.IGNORECASE)
_PIPE_OPTIONS: Final = {"probesize": "4096", "analyzeduration": "0"}
"""Hardly any probing, so that live sound leaves at once."""

Tell = Callable[[str], None]


def is_url(name: str) -> bool:
    """Return whether a name is that of no file but of something in the network."""
    return bool(_URL.match(_path_of(name))) and not os.path.exists(name)


class SoundSource:
    """The sound of a file, of standard input (`-`) or of a URL, as blocks at 48 kHz.

    Parameters
    ----------
    name : str
        As it is called; colons, `%` and leading dashes have no meaning.
    channels : int
        1 or 2, of the blocks.
    live : bool
        A URL that breaks off is asked again.
    repeat : bool
        Begin again at the end, without a seam.
    tell : callable
        Takes lines for a person.

    Raises
    ------
    OSError, ValueError, EOFError
        If it cannot be opened, or holds no sound.
    """

    def __init__(
        self, name: str, *, channels: int, live: bool = False, repeat: bool = False, tell: Tell
    ) -> None:
        self._name = _path_of(name)
        self._is_url = is_url(name)
        self._live = live
        self._repeat = repeat
        self._tell = tell
        self._shape = SoundShape(channels)
        self._kept = KeptFile()
        self._complaint = ""
        self._turn_samples = 0
        self._is_cut = False
        self._missing_s = 0.0
        self._unplayed = 0
        self._left_bytes = 0
        self._part: Any = _Whole()
        self.damaged = 0
        """Places that could not be read or decoded."""
        self._opened: Iterator[Any] | None = None
        self._opened = self._open()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield (n, channels) float32, full scale 1.0, until the end, if there is one.

        Raises
        ------
        OSError, ValueError
            If it breaks off, or there was nothing in it that can be decoded.
        """
        yield from self._turn()
        if not self._turn_samples and not self._live:
            raise ValueError("nothing in it can be decoded; is it a sound?")
        while self._repeat or (self._live and self._is_url):
            if self._repeat:
                self._judge_turn()
            self._turn_samples = 0  # what opens the next one counts from here
            self._opened = self._open_again() if self._is_url else self._begin_again()
            yield from self._turn()
        yield from self._shape.flush()

    def close(self) -> None:
        """Give back what a loop holds; the thread that reads may still do so."""
        self._kept.close()

    @property
    def is_whole(self) -> bool:
        """Whether all that may be sound in it was given, but for what is damaged."""
        return not self._unplayed and self._left_bytes <= _REST_MAX

    def _judge_turn(self) -> None:
        """Tell a file that has become junk from one that never was a sound."""
        is_good = self._turn_samples >= _LOOP_SAMPLES_MIN
        if not self._kept.judge(is_good):
            raise ValueError("less than 20 ms of sound: too little for --loop")
        if not is_good:
            self._complain("no sound in it now")

    def summary(self) -> list[str]:
        """Return what a person is to know of the sound, a line each."""
        lines = []
        if self.damaged:
            lines.append(f"{self.damaged} damaged places were left out, the rest was played")
        if self._is_cut and not self._is_url:
            lines.append("it ends too soon: it was cut off; copy it again")
        if self._unplayed:
            lines.append(
                f"{self._unplayed} of the files joined in it cannot be played, the rest was; "
                "give each by its own name"
            )
        if self._left_bytes > _REST_TOLD:
            lines.append(
                f"{self._left_bytes} bytes behind the sound are none that is known, and were left "
                "out; was something else joined to it, or is its header wrong?"
            )
        if self._missing_s:
            lines.append(
                f"{self._missing_s:.1f} s that its header tells of are not in it: "
                "cut off or damaged; copy it again"
            )
        if self._shape.clipped_samples:
            lines.append(
                f"{self._shape.clipped_samples} samples above full scale were clipped; "
                "is it damaged, or recorded too loud?"
            )
        if self._shape.cancelled:
            lines.append(
                "left and right cancel each other (a wire is swapped): one of them was played"
            )
        return lines

    def _turn(self) -> Iterator[NDArray[np.float32]]:
        """Yield the sound once. A live URL that breaks off ends its turn, others raise."""
        self._missing_s = 0.0
        self._left_bytes = 0
        assert self._opened is not None
        try:
            for container in self._opened:
                with container:
                    for frame in frames_of(container, self._count_damage, self._part.note_heard):
                        for block in self._shape.take(frame):
                            self._turn_samples += len(block)
                            yield block
        except (OSError, av.FFmpegError) as fault:
            if not (self._repeat or (self._live and self._is_url)):
                raise (url_error(fault) if self._is_url else fault) from None
            self._tell(f"broke off: {one_line(fault)}; it is opened again")

    def _count_damage(self) -> None:
        if not self.damaged:
            self._tell("a damaged place is left out, the rest is played")
        self.damaged += 1

    def _open(self) -> Iterator[Any]:
        """Return the containers of one turn; the first one is open, so that a fault shows now."""
        opened = self._containers()
        first = next(opened, None)
        if first is None or not first.streams.audio:
            raise ValueError("there is no sound in it")

        def all_of() -> Iterator[Any]:
            yield first
            yield from opened

        return all_of()

    def _containers(self) -> Iterator[Any]:
        if self._name == "-":
            if sys.stdin is None:
                raise ValueError("standard input is closed; give it a pipe or a file")
            yield from self._of_raw(io.FileIO(sys.stdin.fileno(), closefd=False))
        elif self._is_url:
            yield from self._of_url(self._name)
        else:
            yield from self._of_file(self._name)

    def _of_file(self, path: str) -> Iterator[Any]:
        """Yield what is in the file; of a loop it stays at hand, whatever is put in its place."""
        with open(path, "rb", buffering=0) as file:
            if not file.seekable():
                yield from self._of_raw(file)
                return
            begin = file.read(LOOK_BYTES)
            if is_playlist(path, begin):
                raise ValueError(NO_SOUND)
            if self._repeat:
                self._kept.offer(file.fileno())
            if begin.lstrip().startswith(b"#EXTM3U"):
                yield _open_av(f"file:{path}")  # HLS: its segments are files beside it
                return
            yield from self._of_file_parts(FileParts(file, f"file:{path}"))

    def _of_file_parts(self, parts: FileParts) -> Iterator[Any]:
        yield from self._of_parts(parts, {})
        self._is_cut |= parts.lacking_bytes > 0
        self._left_bytes += parts.left_bytes

    def _of_parts(self, parts: Iterable[Any], options: dict[str, str]) -> Iterator[Any]:
        """Yield each that FFmpeg knows; what it does not know is counted, or a fault if it is all.

        Raises
        ------
        OSError, ValueError, av.FFmpegError
            If none of them is a sound.
        """
        fault: Exception | None = None
        opened = unplayed = 0
        for part in parts:
            begun = self._turn_samples
            try:
                if part.is_ogg:
                    self._part = _Whole()
                    links = self._links(part)
                    for container in _of_links(links, options):
                        opened += 1
                        yield container
                    part.note_passed_over(links.passed_over_bytes)
                else:
                    container = _open_av(part, options=options)
                    opened += 1
                    yield from self._counted(container, part)
            except (av.FFmpegError, ValueError) as one:
                fault = fault or one
            unplayed += self._turn_samples == begun
        if fault is not None and not opened:
            raise fault
        self._unplayed = unplayed

    def _counted(self, container: Any, part: Any) -> Iterator[Any]:
        """Yield the container, and note how much less came out of it than its header says."""
        said_s, begun = said_s_of(container), self._turn_samples
        self._part = part
        yield container
        if said_s is not None and not part.is_open_ended:
            self._missing_s += missing_s(said_s, (self._turn_samples - begun) / RATE_HZ)

    def _of_raw(self, raw: Any) -> Iterator[Any]:
        """Yield what is in a pipe or a connection, which cannot be gone back in."""
        parts = PipeParts(raw)
        spool = parts.spooled()
        if spool is not None:
            with spool:
                yield from self._of_file_parts(FileParts(spool, ""))
            return
        yield from self._of_parts(parts, _PIPE_OPTIONS)
        self._left_bytes += parts.left_bytes

    def _of_url(self, url: str) -> Iterator[Any]:
        """Yield what a station sends. Ogg is taken apart here; FFmpeg knows the rest, HLS too."""
        if url.partition(":")[0].lower() in ("http", "https"):
            answer = _ogg_answer(url)
            if answer is not None:
                with answer:
                    yield from _of_links(self._links(_Answer(answer), PATTERN), _PIPE_OPTIONS)
                return
        try:
            container = _open_av(url, timeout=STALL_S)
        except (OSError, av.FFmpegError) as fault:
            raise url_error(fault) from fault
        yield from self._counted(container, _Whole())

    def _links(self, raw: Any, begin: bytes = b"") -> OggLinks:
        return OggLinks(raw, begin, damage=self._count_damage, cut=self._note_cut)

    def _note_cut(self) -> None:
        self._is_cut = True

    def _open_again(self) -> Iterator[Any]:
        """Ask a station again until it answers."""
        for attempt in range(1 << 62):
            if self._live or attempt:
                time.sleep(_AGAIN_S[min(attempt, len(_AGAIN_S) - 1)])
            try:
                return self._open()
            except (OSError, ValueError, av.FFmpegError, LookupError) as fault:
                if attempt == 0:
                    self._tell(f"not there: {one_line(fault)}; it is asked again and again")
        raise AssertionError

    def _begin_again(self) -> Iterator[Any]:
        """Open the file of a loop; where that has become junk, what was played before."""
        if self._kept.is_wanted:
            return self._of_file(self._kept.path)
        try:
            return self._open()
        except (OSError, ValueError, av.FFmpegError, LookupError) as fault:
            self._complain(one_line(fault))
            self._kept.is_wanted = True
            return self._of_file(self._kept.path)

    def _complain(self, what: str) -> None:
        if what != self._complaint:
            self._tell(f"{what}; what it was before goes on")
        self._complaint = what


def _path_of(name: str) -> str:
    """Return the path where `name` is the URL of a file on this machine."""
    if not _FILE_URL.match(name) or os.path.exists(name):
        return name
    return urllib.request.url2pathname(urllib.parse.urlsplit(name).path)


def _open_av(source: Any, **options: Any) -> Any:
    """Open what FFmpeg reads, with titles in whatever code page; they hinder nothing."""
    return av.open(source, metadata_errors="replace", **options)


def _of_links(links: OggLinks, options: dict[str, str]) -> Iterator[Any]:
    """Yield each link that FFmpeg knows; one that is junk is passed over."""
    fault: Exception | None = None
    opened = 0
    for link in links:
        try:
            container = _open_av(link, format="ogg", options=options)
        except (av.FFmpegError, ValueError) as one:
            fault = one
            continue
        opened += 1
        yield container
    if fault is not None and not opened:
        raise fault


def _ogg_answer(url: str) -> Any:
    """Return the answer of a station behind its first four bytes; None where that is no Ogg."""
    try:
        answer = urllib.request.urlopen(url, timeout=STALL_S)
        begin = answer.read(len(PATTERN))
        if begin == PATTERN:
            return answer
        begin += answer.read1(LOOK_BYTES)
        answer.close()
    except (OSError, ValueError, http.client.HTTPException):
        return None  # FFmpeg asks again, and says what is wrong
    if is_playlist(url, begin):
        raise ValueError(NO_SOUND.replace("files", "URLs"))
    return None


class _Whole:
    """A part that nothing follows."""

    is_open_ended = False

    def note_heard(self, end: int) -> None:
        """Nobody asks."""


class _Answer:
    """An HTTP answer that gives what has come, instead of waiting for all that was asked for."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def read(self, count: int) -> bytes:
        return bytes(self._answer.read1(count))
