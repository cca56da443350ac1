"""Put all files of a run into a folder at once: all of them, or none and what was there before."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sim.report.listen import wav
from sim.report.page import page
from sim.report.parquet import day_parquets, parquet
from sim.report.summaries import junit, markdown
from sim.result.run import RunResult

REPORT: Final = "report.html"
RESULTS: Final = "results.parquet"


def write_files(
    result: RunResult, folder: Path, *, more: Mapping[str, bytes] | None = None
) -> list[Path]:
    """Write report, rows, sounds and summaries of `result` into `folder`.

    Parameters
    ----------
    result : RunResult
        One run.
    folder : Path
        Made when it is missing. Files of the same names in it are replaced.
    more : mapping of str to bytes, optional
        Further files, by their path below `folder`.

    Returns
    -------
    list of Path
        What was written, the report first.

    Raises
    ------
    OSError
        If anything cannot be written, for instance on a full disk. `folder` is then as it was.
    """
    contents = {
        REPORT: page(result).encode(),
        RESULTS: parquet([result]),
        "summary.md": markdown(result).encode(),
        "junit.xml": junit(result),
    }
    contents |= {f"day/{name}.parquet": data for name, data in day_parquets(result).items()}
    contents |= {f"listen/{name}.wav": wav(one.samples) for name, one in result.listen.items()}
    contents |= more or {}
    write_all(contents, folder)
    return [folder / name for name in contents]


def check_folder(folder: Path) -> None:
    """Raise `OSError` when files cannot be put into `folder`, without making anything.

    What is missing is made when there is something to put into it; what is there must be a
    folder, and one that we may write to.
    """
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"no right to write to {there}")


def write_all(contents: dict[str, bytes], folder: Path) -> None:
    """Write `contents` (relative path to bytes) below `folder`: each file whole, or none of them.

    Everything is written and flushed to disk beside its place first and renamed last, so that
    only a crash between two renames can mix files of two runs; no file is ever half written.

    Raises
    ------
    OSError
        If something cannot be written; nothing of it is left behind then.
    """
    places = [folder / name for name in contents]
    missing = {up for place in places for up in place.parents if not up.exists()}
    try:
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".loalang-", dir=folder) as staging:
            for name, data in contents.items():
                _write(Path(staging) / name, data)
            for name, place in zip(contents, places, strict=True):
                os.replace(Path(staging) / name, place)
    except BaseException:
        for one in sorted(missing, key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):  # somebody else put something there: it stays
                one.rmdir()
        raise


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # a full disk may say so only now
