"""Siren and words of a new station: kept in its folder, and named in the tables of its nodes.

Without them every warning is silent until somebody has written their hashes and how long they
last into `node.toml`.
"""

import re
from pathlib import Path
from typing import Final

from node.control.warning.alert import PhraseConfig
from node.shell.faults import EXIT_INPUT, ShellError

_PACKETS_PER_S: Final = 50
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")  # as in CAP: RFC 5646


def pairs(words: list[str]) -> dict[str, Path]:
    """Return each language's file of `LANGUAGE=FILE`.

    Raises
    ------
    ShellError
        If one is no such pair, or a language comes twice.
    """
    found: dict[str, Path] = {}
    for one in words:
        language, _, file = one.partition("=")
        if not _LANGUAGE.fullmatch(language) or not file or language in found:
            raise ShellError(
                f"--words {one}: must be LANGUAGE=FILE.opus such as vi=words-vi.opus,"
                " each language once",
                exit_status=EXIT_INPUT,
            )
        found[language] = Path(file)
    return found


def phrase_table(siren: Path, words: dict[str, Path], folder: Path) -> str:
    """Keep the sounds in `folder`; return the table that has warnings sound with them.

    Raises
    ------
    ShellError
        If a file is no sound that a node plays.
    ConfigError
        If they last too long, or a language has no such name.
    """
    from node.shell.commands.keep import keep_sound  # its decoder loads the kernels

    first = keep_sound(siren, folder)
    spoken = {language: keep_sound(file, folder) for language, file in words.items()}
    phrase = PhraseConfig(
        siren=first.digest,
        text={language: one.digest for language, one in spoken.items()},
        siren_s=_whole_s(first.packets),
        text_s=max([_whole_s(one.packets) for one in spoken.values()], default=30),
    )
    text = ", ".join(f'{language} = "{digest}"' for language, digest in phrase.text.items())
    return f"""\
[control.alert.phrases.any]
siren = "{phrase.siren}"
siren_s = {phrase.siren_s}
text = {{ {text} }}
text_s = {phrase.text_s}
"""


def _whole_s(packets: int) -> int:
    return -(-packets // _PACKETS_PER_S)
