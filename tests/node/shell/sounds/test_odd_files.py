"""Whatever lies in the folder of sounds, the others are there, and each odd one is named."""

import hashlib
import os
import threading
from pathlib import Path

from node.shell.sounds.library import read_sounds, recording_of
from tests.acceptance.test_orders_over_broker import ogg_siren

READ_WITHIN_S = 5.0

ODD = {
    "a link to nowhere": lambda path: path.symlink_to(path.parent / "gone"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a folder": lambda path: path.mkdir(),
    "a pipe that nobody writes into": os.mkfifo,
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "an empty file": lambda path: path.touch(),
    "a file larger than any sound": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}


def test_odd_files_among_the_sounds_keep_no_other_from_playing_and_are_named(tmp_path: Path):
    siren = ogg_siren(1.0)
    assert recording_of(siren) is not None  # what it takes to load comes once
    digest = hashlib.sha256(siren).hexdigest()
    (tmp_path / f"{digest}.opus").write_bytes(siren)
    names = {f"{number:064x}": what for number, what in enumerate(ODD)}
    for stem, what in names.items():
        ODD[what](tmp_path / f"{stem}.opus")
    found = []
    reader = threading.Thread(
        target=lambda: found.append(read_sounds(tmp_path, names)), daemon=True
    )
    reader.start()
    reader.join(READ_WITHIN_S)
    assert found, "a file keeps the node from starting"
    assert digest in found[0].by_name
    assert found[0].left_out.keys() == names.keys()
    for stem, what in names.items():
        assert found[0].left_out[stem], f"{what} has no reason"
