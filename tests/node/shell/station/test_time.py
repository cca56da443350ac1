"""The station tells the time to its own nodes, each seldom, and to nobody else."""

import time

from node.control.trust.asked_time import encode_answer
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.signature import SeedSigner, verified
from node.shell.station.cli import main
from node.shell.station.folder import NodeEntry, Station
from node.shell.station.time import EACH_S, Answers

NONCE = bytes(range(16))


def test_only_its_own_nodes_are_answered_and_each_but_seldom(tmp_path, capsys):
    folder = tmp_path / "station"
    place = ("--area", "vn/x", "--broker", "localhost", "--folder", str(folder))
    assert main(["init", *place]) == 0
    station = Station.open(folder)
    station.keep(NodeEntry(name="coc-1", area="vn/x/coc-1", public_key=bytes(32)))
    signer = SeedSigner(bytes(32))
    answers = Answers(station, signer)
    utc_ns = time.time_ns()

    def ask(name: str, now_s: float, nonce: bytes = NONCE) -> tuple[str, bytes] | None:
        return answers.answer(f"pa/v1/x/node/{name}/time", nonce, utc_ns=utc_ns, now_s=now_s)

    found = ask("coc-1", 10.0)
    assert found is not None and found[0] == "pa/v1/x/node/coc-1/cmd"
    message = open_envelope(found[1])
    assert isinstance(message, Message) and message.kind is Kind.BEACON
    assert message.content == encode_answer(NONCE, utc_ns)
    assert verified(signer.public_key, message.signature, message.signed)
    assert ask("coc-1", 10.0 + EACH_S / 2) is None
    assert ask("coc-1", 10.0 + EACH_S) is not None
    assert ask("coc-2", 30.0) is None
    assert ask("coc-1", 30.0, b"short") is None
    assert answers.answer("x", NONCE, utc_ns=utc_ns, now_s=50.0) is None


def test_who_is_let_in_later_is_answered_and_who_is_taken_back_no_more(tmp_path, capsys):
    """Also after a file that is none: the list holds as it was, which is told once."""
    folder = tmp_path / "station"
    place = ("--area", "vn/x", "--broker", "localhost", "--folder", str(folder))
    assert main(["init", *place]) == 0
    station = Station.open(folder)
    told: list[str] = []
    answers = Answers(station, SeedSigner(bytes(32)), told.append)

    def is_answered(name: str, now_s: float) -> bool:
        topic = f"pa/v1/x/node/{name}/time"
        return answers.answer(topic, NONCE, utc_ns=time.time_ns(), now_s=now_s) is not None

    assert not is_answered("coc-1", 10.0)
    station.keep(NodeEntry(name="coc-1", area="vn/x/coc-1", public_key=bytes(32)))
    assert is_answered("coc-1", 11.0)
    station.keep(NodeEntry(name="coc-2", area="vn/x/coc-2", public_key=bytes(32)))
    assert not is_answered("coc-1", 11.0 + EACH_S / 2), "each but seldom, whoever else is let in"
    assert is_answered("coc-2", 20.0)
    (folder / "nodes" / "coc-3.json").write_text("{")
    assert is_answered("coc-1", 30.0) and is_answered("coc-2", 30.0)
    assert not is_answered("coc-3", 30.0)
    assert len(told) == 1 and "coc-3.json" in told[0]
    (folder / "nodes" / "coc-3.json").unlink()
    station.keep(NodeEntry(name="coc-1", area="vn/x/coc-1"))  # taken back
    assert not is_answered("coc-1", 40.0) and is_answered("coc-2", 40.0)
