"""What is wrong with a sound, as one line for a person: the reason, and what would be right."""

import errno
import os
from typing import Final

import av

STALL_S: Final = 15.0
"""Nothing from a station for so long: the connection is dead, whatever TCP says."""

_HELD_BACK: Final = "the station wants a name and a password: http://NAME:PASSWORD@..."
_OF_URLS: Final = {
    errno.ECONNREFUSED: "nobody listens there; is the station on, are name and port right?",
    errno.ECONNRESET: "the station hung up; does another player play it?",
    errno.EIO: "is the name right, is the network up? a browser on this machine would tell",
    errno.EINVAL: "no URL; it looks like http://radio.example:8000/live",
    errno.ETIMEDOUT: "nobody answers; is the name right, is the network up?",
    errno.EHOSTUNREACH: "nobody answers; is the name right, is the network up?",
    errno.ENETUNREACH: "is the network up? `ip route` says which way it takes",
}
_OF_ANSWERS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        av.ProtocolNotFoundError,
        "FFmpeg's libraries know none of that name here; give http, https, rtsp, rtmp, or a file",
    ),
    (av.HTTPUnauthorizedError, _HELD_BACK),
    (av.HTTPForbiddenError, _HELD_BACK),
    (av.HTTPNotFoundError, "look the address up at the station"),
    (av.HTTPTooManyRequestsError, "wait a minute, and give it again"),
    (av.HTTPServerError, "the station's own fault; give it again later"),
    (av.HTTPError, "look the address up at the station"),
)


class UrlError(OSError):
    """A station cannot be heard; the text says why, and what to do."""


def url_error(fault: Exception) -> UrlError:
    """Return what the network said of a URL, with what would be right."""
    if isinstance(fault, av.ExitError):
        return UrlError(f"nothing came for {STALL_S:.0f} s; is the station on the air?")
    if isinstance(fault, av.InvalidDataError):
        return UrlError(
            "not a sound that FFmpeg's libraries know; is it a web page? give what a player plays"
        )
    text = getattr(fault, "strerror", None) or one_line(fault)
    for kind, remedy in _OF_ANSWERS:
        if isinstance(fault, kind):
            return UrlError(f"{text}: {remedy}")
    remedy = _OF_URLS.get(getattr(fault, "errno", None) or 0, "does another player play it?")
    return UrlError(f"{text}: {remedy}")


def one_line(fault: BaseException) -> str:
    """Return what is wrong as one line for a person."""
    if isinstance(fault, av.InvalidDataError):
        return "not a sound that FFmpeg's libraries know; is it text, or cut off?"
    if isinstance(fault, av.EOFError):
        return "ends before its sound begins: it was cut off, or is empty; copy it again"
    if isinstance(fault, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(fault, IsADirectoryError):
        return "is a folder; give a file"
    if isinstance(fault, PermissionError):
        return "no permission; chmod it, or choose another"
    if isinstance(fault, av.ExitError):
        return f"nothing came for {STALL_S:.0f} s"
    if getattr(fault, "errno", None) == errno.EIO:
        return f"{os.strerror(errno.EIO)}: the disk, or the connection; `dmesg` says more"
    text = getattr(fault, "strerror", None) or str(fault)
    return str(text).splitlines()[0] if str(text) else type(fault).__name__
