"""What doctor found, in one file that may be sent to who can help: nothing in it opens anything.

```
 findings.json   configuration/*.toml   versions.txt   journal.txt (where there is a journal)
```
No file of keys is read. In what people wrote, and in the journal, keys and digests are cut short
and passwords and places left out.
"""

import io
import json
import platform
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Final

from node.shell.doctor.finding import Finding
from node.shell.drop_ins import FOLDER
from node.shell.faults import file_fault

LINES_MAX: Final = 2000
"""Of the journal, the last ones."""
_FILE_BYTES_MAX: Final = 1 << 20
_JOURNAL: Final = ("journalctl", "--no-pager", "-o", "short-iso", "-u", "loalang-*")
_JOURNAL_S: Final = 20
_LEFT_OUT: Final = (
    (re.compile(r"(?i)\b([0-9a-f]{8})[0-9a-f]{24,}\b"), r"\1…"),
    (
        re.compile(
            r"(?is)((?:password|passphrase|secret|token)(?!_file)[\w-]*[\"']?\s*[=:]\s*)"
            r"(?:\"{3}.*?\"{3}|'{3}.*?'{3}|\"[^\"\n]*\"|'[^'\n]*'|[^\n]*)"
        ),
        r"\1…",
    ),
    (re.compile(r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)"), r"\1…\2"),
    (re.compile(r"(://[^\s?\"']*\?)[^\s\"']+"), r"\1…"),
    (re.compile(r"(?im)\b((?:lat|lon)(?:_deg|itude)?\"?\s*[=:]\s*)-?[0-9.]+"), r"\1…"),
    (re.compile(r"//[^/\s@\"']+@"), "//…@"),
)


def redacted(text: str) -> str:
    """Return `text` without what opens something or says where a person lives."""
    for pattern, instead in _LEFT_OUT:
        text = pattern.sub(instead, text)
    return text


def write_bundle(path: Path, findings: Sequence[Finding], config: Path) -> None:
    """Write all of it to `path`, a .tar.gz.

    Raises
    ------
    ShellError
        If it cannot be written.
    """
    try:
        with tarfile.open(path, "w:gz") as bundle:
            for name, text in _parts(findings, config):
                data = text.encode()
                entry = tarfile.TarInfo(f"loalang-doctor/{name}")
                entry.size, entry.mode = len(data), 0o600
                bundle.addfile(entry, io.BytesIO(data))
    except OSError as fault:
        raise file_fault(path, fault) from fault


def _parts(findings: Sequence[Finding], config: Path) -> Iterator[tuple[str, str]]:
    told = [{name: redacted(text) for name, text in asdict(one).items()} for one in findings]
    yield "findings.json", json.dumps(told, indent=1)
    for one in [config, *sorted((config.parent / FOLDER).glob("*.toml"))]:
        yield f"configuration/{one.name}", redacted(_read(one))
    yield "versions.txt", _versions()
    yield "journal.txt", redacted(_journal())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX).decode("utf-8", "replace")
    except OSError as fault:
        return f"cannot be read: {fault.strerror}\n"


def _versions() -> str:
    told = [f"python {sys.version.split()[0]}", f"kernel {platform.platform()}"]
    told += sorted(f"{one.name} {one.version}" for one in metadata.distributions())
    return "\n".join(told) + "\n"


def _journal() -> str:
    command = [*_JOURNAL, "-n", str(LINES_MAX)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_JOURNAL_S)
    except (OSError, subprocess.TimeoutExpired) as fault:
        return f"no journal: {fault}\n"
    return done.stdout + done.stderr
