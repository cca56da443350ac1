"""What the node says to people, in their language: gettext catalogues from `locale/*.po`.

The texts in the code are English and are the keys. The shell reads the `.po` file (text, so that a
translator can edit it on the gateway) and passes its content in; it becomes the binary form that
Python's gettext reads, in memory.
"""

import ast
import gettext
import io
import re
import struct
from collections.abc import Callable
from typing import Final

from node.config import ConfigError

Translate = Callable[[str], str]

_MAGIC: Final = 0x950412DE  # GNU gettext manual, section "The Format of GNU MO Files"
_LINE: Final = re.compile(r'(msgid|msgstr)?\s*("(?:[^"\\]|\\.)*")')


def load_catalogue(po_text: str, *, where: str) -> Translate:
    """Return the translating function of a `.po` file.

    Parameters
    ----------
    po_text : str
        Content of the file: `msgid` and `msgstr` entries, long ones over several lines.
    where : str
        Its name, for the error.

    Raises
    ------
    ConfigError
        If a line is none that a catalogue has.
    """
    return gettext.GNUTranslations(io.BytesIO(_binary(_entries(po_text, where)))).gettext


def untranslated(text: str) -> str:
    """Return `text`: English."""
    return text


def _entries(po_text: str, where: str) -> dict[str, str]:
    pairs: list[list[str]] = []
    part = 0
    for number, line in enumerate(po_text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or (match[1] is None and not pairs):
            raise ConfigError(f"{where}: line {number} = {line!r}: must be msgid, msgstr or text")
        if match[1] == "msgid":
            pairs.append(["", ""])
            part = 0
        elif match[1] == "msgstr":
            part = 1
        pairs[-1][part] += ast.literal_eval(match[2])
    return {key: value for key, value in pairs if value}


def _binary(entries: dict[str, str]) -> bytes:
    """Return the MO form: header, two tables of (length, offset), then the texts, NUL-ended."""
    keys = sorted(entries)
    texts = [key.encode() for key in keys] + [entries[key].encode() for key in keys]
    tables_bytes = 28 + 8 * len(texts)
    table, body = b"", b""
    for text in texts:
        table += struct.pack("<II", len(text), tables_bytes + len(body))
        body += text + b"\0"
    half = 28 + 8 * len(keys)
    header = struct.pack("<7I", _MAGIC, 0, len(keys), 28, half, 0, tables_bytes)
    return header + table + body
