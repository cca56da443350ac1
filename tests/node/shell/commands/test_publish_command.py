"""`loalang-node publish`: it waits for all that it named, and says who did not answer."""

import asyncio
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from node.control.orders import Acknowledgement
from node.control.trust.fates import NOTHING_IN_FORCE, remedy_of
from node.control.trust.message import Kind, Message, open_envelope, seal
from node.control.trust.signature import SeedSigner
from node.shell.broker.connection import Connection, Login
from node.shell.broker.paho_connection import connect
from node.shell.cli import main
from tests.node.shell.broker.test_broker import Broker, broker, until  # noqa: F401

ROOT = "pa/v1/huu-lien"
ZONE = "núi-đá"


class Pole:
    """A node as the broker knows it: answers each order with `fate`, `after_s` late."""

    def __init__(self, name: str, *, fate: str = "obeyed", after_s: float = 0.0) -> None:
        self.name, self.fate, self.after_s = name, fate, after_s
        self.key = SeedSigner(name.encode().ljust(32, b"."))
        self.ready = False

    async def live(self, port: int, ended: threading.Event) -> None:
        link = await connect(Login(host="127.0.0.1", port=port, identifier=self.name))
        node = f"{ROOT}/node/{self.name}"
        await link.subscribe([f"{node}/cmd", f"{ROOT}/zone/{ZONE}/cmd"])
        about = {"zones": [ZONE], "public_key": self.key.public_key.hex()}
        for topic, told in (("state", {"state": "degraded", "why": ["disk"]}), ("about", about)):
            await link.publish(
                f"{node}/{topic}", msgspec.json.encode(told), quality=1, retain=True, expires_s=0
            )
        self.ready = True
        while not ended.is_set():
            try:
                async with asyncio.timeout(0.05):
                    order = await link.receive()
            except TimeoutError:
                continue
            await self._answer(link, order.payload)
        await link.close()

    async def _answer(self, link: Connection, payload: bytes) -> None:
        await asyncio.sleep(self.after_s)
        message = open_envelope(payload)
        if self.fate and isinstance(message, Message):
            issuer, counter = message.key_id.hex(), message.counter
            told = Acknowledgement(self.name, issuer, counter, self.fate, 1, remedy_of(self.fate))
            answer = Message(
                kind=Kind.ACKNOWLEDGEMENT, key_id=self.key.key_id, counter=1, issued_s=1,
                ttl_s=600, message_class=message.message_class, area=message.area,
                content=msgspec.json.encode(told),
            )  # fmt: skip
            topic = f"{ROOT}/node/{self.name}/acknowledgement"
            await link.publish(topic, seal(answer, self.key), quality=1, retain=False, expires_s=0)


@contextmanager
def at(broker: Broker, *poles: Pole) -> Iterator[None]:  # noqa: F811
    ended = threading.Event()

    async def live() -> None:
        await asyncio.gather(*(one.live(broker.port, ended) for one in poles))

    thread = threading.Thread(target=lambda: asyncio.run(live()), daemon=True)
    thread.start()
    asyncio.run(until(lambda: all(one.ready for one in poles)))
    try:
        yield
    finally:
        ended.set()
        thread.join(5)


@pytest.fixture
def publish(tmp_path: Path, broker, capsys) -> Callable[..., tuple[int, list[str]]]:  # noqa: F811
    key, order = str(tmp_path / "office.key"), str(tmp_path / "order.bin")
    assert main(["key", key]) == 0
    assert main(["order", "mute", "--area", "vn", "--key", key, "--out", order]) == 0

    def give(*to: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        where = ("--broker", f"127.0.0.1:{broker.port}", "--village", "huu-lien")
        status = main(["publish", order, *where, *to])
        return status, capsys.readouterr().out.splitlines()

    return give


def test_it_waits_for_all_that_it_named_and_ends_as_soon_as_they_have_answered(publish, broker):  # noqa: F811
    with at(broker, Pole("coc-1"), Pole("coc-2", after_s=0.7)):
        begin_s = time.monotonic()
        status, told = publish("--node", "coc-1", "--node", "coc-2", "--wait", "30")
        assert time.monotonic() - begin_s < 10
    assert status == 0 and len(told) == 2
    by = "by the key that it told itself"
    assert re.fullmatch(rf"coc-2: obeyed after (0\.[789]|[1-9])\d* s, {by}", told[1]), told


@pytest.mark.parametrize(
    "to", [("--node", "coc-1", "--node", "coc-2", "--node", "coc-3"), ("--zone", ZONE)]
)
def test_who_does_not_answer_is_named_with_what_is_known_of_it(publish, broker, to):  # noqa: F811
    with at(broker, Pole("coc-1"), Pole("coc-2", fate="")):
        status, told = publish(*to, "--wait", "1")
    assert status == 1
    assert told[0].startswith("coc-1: obeyed after")
    assert "coc-2: no answer in 1 s, its state is degraded (disk)" in told
    unknown = "coc-3: no answer in 1 s, the broker knows nothing of it"
    assert (unknown in told) == ("coc-3" in to)
    assert told[-1] == f"1 of {len(told) - 1} answers in 1 s"


def test_a_cancel_about_nothing_ends_with_its_reason_and_status_1(publish, broker):  # noqa: F811
    with at(broker, Pole("coc-1", fate=NOTHING_IN_FORCE)):
        status, told = publish("--node", "coc-1")
    assert status == 1
    assert re.match(
        r"coc-1: nothing in force under that number after .*compare the number", told[0]
    )


def test_a_zone_is_the_same_one_however_its_name_was_typed(publish, broker):  # noqa: F811
    with at(broker, Pole("coc-1")):
        status, told = publish("--zone", unicodedata.normalize("NFD", ZONE), "--wait", "5")
    assert status == 0 and len(told) == 1


def test_proof_of_what_leaves_no_record_is_refused(tmp_path, capsys, publish):
    (tmp_path / "poles.toml").write_text("")
    status, _ = publish("--node", "coc-1", "--proof", "9", "--poles", str(tmp_path / "poles.toml"))
    assert status == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--zone", "+"), "--zone '+': must be a name without +, #, / and space"),
        (("--zone", ""), "--zone '': must be a name"),
        (("--node", "#"), "name = '#': must be 1 to 64 of a-z"),
        (("--node", "coc-1", "--wait", "nan"), "--wait nan: must be 0 to"),
        (("--node", "coc-1", "--answers", "0"), "--answers 0: must be at least 1"),
    ],
)
def test_a_name_that_is_no_topic_is_refused_by_what_would_be_right(
    tmp_path, capsys, arguments, why
):
    assert main(["publish", str(tmp_path / "none"), "--broker", "127.0.0.1:1", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
