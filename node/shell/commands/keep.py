"""`loalang-node keep`: put sounds into the folder of stored ones, by their hash.

The file is whole on the disk before it has its name, so a power cut leaves nothing half.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.shell.commands.check import decoder_of
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_regular
from node.shell.sounds.library import FILE_BYTES_MAX, WANTED, packets_of
from node.shell.sounds.sentences import find_sentences, write_sentences
from node.shell.store.whole import write_file

DECODERS: Final = ("own", "libopus")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    keep = commands.add_parser("keep", help="put Ogg Opus files into the folder of stored sounds")
    keep.add_argument("files", nargs="+", type=Path, metavar="FILE.opus")
    keep.add_argument("--folder", type=Path, required=True, help="control.media_folder of the node")
    keep.add_argument("--decoder", choices=DECODERS, default="own", help="to find the sentences")


def keep_sounds(options: argparse.Namespace) -> int:
    """Store each file; print its hash, its length and how many sentences it has."""
    for file in options.files:
        one = keep_sound(file, options.folder, decoder=options.decoder)
        print(f"{one.digest}  {file}: {one.packets / 50:.1f} s, {one.sentences} sentences")
    return 0


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored sound."""

    digest: str
    """Its SHA-256, by which orders and settings name it."""
    packets: int
    """Of 20 ms."""
    sentences: int


def keep_sound(file: Path, folder: Path, *, decoder: str = "own") -> Kept:
    """Put a sound into a folder of stored ones.

    Raises
    ------
    ShellError
        If it cannot be read or written, or is no sound that a node plays.
    """
    data = read_regular(file, FILE_BYTES_MAX)
    packets = packets_of(data)
    if packets is None:
        raise ShellError(
            f"{file}: no {WANTED}; "
            "`ffmpeg -i IN -c:a libopus -ac 1 -frame_duration 20 OUT.opus` makes it",
            exit_status=EXIT_INPUT,
        )
    digest = hashlib.sha256(data).hexdigest()
    sentences = find_sentences(packets, decoder_of(decoder))
    sound = folder / f"{digest}.opus"
    write_sentences(sound, sentences)
    write_file(sound, data)
    return Kept(digest, len(packets), len(sentences))
