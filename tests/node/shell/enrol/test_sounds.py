"""A stored sound comes in pieces by the broker, goes on where it was cut off, and is its hash's."""

import asyncio
import hashlib
from dataclasses import dataclass

import numpy as np
import pytest

from node.shell.broker.connection import LinkLostError
from node.shell.enrol.papers import Sound
from node.shell.enrol.sounds import PIECE_BYTES, fetch, piece_topic, pieces
from node.shell.faults import ShellError

DATA = np.random.default_rng(1).bytes(20 * PIECE_BYTES + 17)
SOUND = Sound(hashlib.sha256(DATA).hexdigest(), len(DATA))


@dataclass
class Message:
    topic: str
    payload: bytes


class Broker:
    """What is retained, of which only so many pieces go out before the link is lost."""

    def __init__(self, data=DATA, *, lost_after=1000):
        found = pieces(data)
        self.kept = {piece_topic("v", SOUND.digest, i): one for i, one in enumerate(found)}
        self.left, self.asked, self.waiting = lost_after, [], []

    async def subscribe(self, topics):
        self.asked += topics
        self.waiting += [Message(one, self.kept[one]) for one in reversed(topics)]
        return [0]

    async def unsubscribe(self, topics):
        self.waiting = []

    async def receive(self):
        if self.left == 0:
            raise LinkLostError("gone")
        self.left -= 1
        return self.waiting.pop()

    def acknowledge(self, message):
        pass


def get(broker, folder):
    asyncio.run(fetch(broker, "v", SOUND, folder))


def test_what_was_cut_off_goes_on_with_the_next_piece(tmp_path):
    with pytest.raises(LinkLostError):
        get(Broker(lost_after=12), tmp_path)
    assert not (tmp_path / f"{SOUND.digest}.opus").exists()
    again = Broker()
    get(again, tmp_path)
    assert (tmp_path / f"{SOUND.digest}.opus").read_bytes() == DATA
    assert again.asked[0] == piece_topic("v", SOUND.digest, 8), "eight at once were on the disk"
    assert len(again.asked) == 21 - 8
    get(Broker(lost_after=0), tmp_path)  # it is there: nothing is asked for


@pytest.mark.parametrize("at", [0, 3 * PIECE_BYTES, len(DATA) - 1])
def test_one_wrong_byte_is_not_believed_and_asked_for_anew(tmp_path, at):
    wrong = bytearray(DATA)
    wrong[at] ^= 1
    with pytest.raises(ShellError, match="offer it again"):
        get(Broker(bytes(wrong)), tmp_path)
    assert list(tmp_path.iterdir()) == []
    get(Broker(), tmp_path)
    assert (tmp_path / f"{SOUND.digest}.opus").read_bytes() == DATA


@pytest.mark.parametrize(("digest", "size"), [("../x", 5), ("a" * 64, 0), ("a" * 64, 1 << 40)])
def test_what_is_no_sound_is_refused_before_anything_is_asked(tmp_path, digest, size):
    broker = Broker()
    with pytest.raises(ShellError, match="no such sound"):
        asyncio.run(fetch(broker, "v", Sound(digest, size), tmp_path))
    assert broker.asked == []
