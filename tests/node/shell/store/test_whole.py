"""What was told, printed or acknowledged is there after a power cut at that very instant."""

import asyncio
import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.trust.signature import SeedSigner
from node.shell.cli import main
from node.shell.enrol import sounds
from node.shell.enrol.papers import Sound
from node.shell.faults import ShellError
from node.shell.store.read import read_kept
from node.shell.store.store import Store
from node.shell.store.whole import add_lines, make_file, write_file
from tests.acceptance.test_orders_over_broker import ogg_siren
from tests.node.shell.store.power_cut import PowerCut


@pytest.fixture
def cut(monkeypatch):
    one = PowerCut()
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(f"os.{name}", one.sync)
    yield one
    one.close()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=40)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_file_that_was_written_is_there_whole_with_what_was_written_last(
    tmp_path_factory, writes
):
    folder, cut, last = tmp_path_factory.mktemp("folder"), PowerCut(), {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", cut.sync)
        for name, data in writes:
            write_file(folder / name, data)
            last[name] = data
            assert {one: cut.left(folder / one) for one in last} == last
    cut.close()


@given(
    st.lists(st.lists(st.sampled_from([b"one", b"two"]), min_size=1, max_size=3), max_size=6),
    st.data(),
)
@settings(max_examples=40, deadline=None)
@example([[b"one"], [b"two"]], None)
def test_lines_that_were_added_are_there_and_half_a_line_spoils_no_other(
    tmp_path_factory, parts, data
):
    path, cut, told = tmp_path_factory.mktemp("folder") / "x.jsonl", PowerCut(), []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", cut.sync)
        for lines in parts:
            add_lines(path, lines)
            told += lines
            assert (cut.left(path) or b"").splitlines() == told
            torn = b"thr" if data is None else data.draw(st.sampled_from([b"", b"thr"]))
            if torn:  # a cut within a write that nobody had told of
                with path.open("ab") as file:
                    file.write(torn)
                told.append(torn)
    cut.close()


def test_a_key_that_was_made_is_there_and_none_is_made_twice(cut, tmp_path, capsys):
    path = tmp_path / "root.key"
    assert main(["key", str(path)]) == 0
    left = cut.left(path)
    assert left and SeedSigner(left).public_key.hex() in capsys.readouterr().out
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        make_file(path, b"other")
    assert path.read_bytes() == left


def test_a_stored_sound_is_there_with_its_sentences(cut, tmp_path, capsys):
    file = tmp_path / "siren.ogg"
    file.write_bytes(ogg_siren(1.0))
    media = tmp_path / "media"
    media.mkdir()
    assert main(["keep", str(file), "--folder", str(media)]) == 0
    digest = capsys.readouterr().out.split()[0]
    assert cut.left(media / f"{digest}.opus") == file.read_bytes()
    assert cut.left(media / f"{digest}.sentences")


def test_a_sound_that_came_by_the_broker_is_there(cut, tmp_path):
    data = b"sound" * 30_000
    sound = Sound(hashlib.sha256(data).hexdigest(), len(data))
    asyncio.run(sounds.fetch(Retained(data, sound.digest), "v", sound, tmp_path))
    assert cut.left(tmp_path / f"{sound.digest}.opus") == data


class Retained:
    """A broker that has the pieces of one sound."""

    def __init__(self, data, digest):
        found = enumerate(sounds.pieces(data))
        self.kept = {sounds.piece_topic("v", digest, n): piece for n, piece in found}
        self.asked = []

    async def subscribe(self, topics):
        self.asked += topics

    async def unsubscribe(self, topics):
        pass

    async def receive(self):
        self.topic = self.asked.pop(0)
        self.payload = self.kept[self.topic]
        return self

    def acknowledge(self, message):
        pass


def test_what_a_store_keeps_at_once_is_there_all_of_it(tmp_path):
    store = Store(tmp_path / "kept.db")
    store.keep({"a": b"1", "b": b"2"})
    store.keep({})  # nothing to wait for
    assert read_kept(tmp_path / "kept.db") == {"a": b"1", "b": b"2"}
    store.close()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for write in (lambda path: write_file(path, b"x"), lambda path: add_lines(path, [b"x"])):
        with pytest.raises(ShellError, match="no such file or folder"):
            write(tmp_path / "none" / "file")
