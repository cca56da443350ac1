"""What the station keeps of its poles is what their enrolled keys vouch for, and nothing else."""

import asyncio
import json

import msgspec

from node.control.trust.signature import SeedSigner
from node.shell.station.folder import Station
from node.shell.station.link import at_broker
from tests.acceptance.commune import Commune
from tests.acceptance.kept_records import wait_for_records
from tests.node.shell.poles.test_ledger import history

ROOT = "pa/v1/huu-lien/node"


async def say(commune: Commune, *messages: tuple[str, bytes]) -> None:
    """Publish as somebody who may say anything at the broker."""
    async with at_broker(Station.open(commune.station)) as connection:
        for topic, payload in messages:
            await connection.publish(f"{ROOT}/{topic}", payload, quality=1, retain=False)


def test_a_forged_proof_is_named_and_not_believed_and_the_poles_own_is_kept(commune):
    commune.sound()
    folder = commune.gateway("gateway")
    commune.enrol(folder, "coc-1")
    assert "coc-1: 0 of 0 records proven" in commune.does("proofs", "--wait", "0.3")
    node = commune.run(folder)
    assert commune.warn("--node", "coc-1")[0] == 0
    wait_for_records(folder / "kept.db", 1)
    node.terminate()
    node.communicate(timeout=60)
    lines, heads = history(SeedSigner(b"t" * 32), "coc-1", 3, "missed")
    asyncio.run(say(commune, ("coc-1/proof", lines[2]), ("coc-1/proof-head", heads[2])))
    asyncio.run(say(commune, ("coc-9/proof-head", heads[0])))
    told = commune.does("proofs", "--wait", "2", status=1)
    assert "NOT BELIEVED: coc-1 spoke without its key, 1 times" in told
    assert "NOT BELIEVED: coc-9 is not in the list of poles, 1 times" in told
    assert "coc-1: 1 of 1 records proven" in told and "missed" not in told, told
    assert "obeyed" in told or "sounds" in told or "waiting" in told, "its answer, by its key"
    (kept,) = (commune.station / "proofs").glob("coc-1-*.jsonl")
    (line,) = kept.read_bytes().splitlines()
    assert json.loads(line)["record"]["outcome"] == "played"
    assert "coc-1: 1 of 1 records proven" in commune.does("proofs", "--wait", "0")
    entry = msgspec.json.decode(line)
    entry["record"]["outcome"] = "missed"
    kept.write_bytes(msgspec.json.encode(entry) + b"\n")
    told = commune.does("proofs", "--wait", "0")
    assert "coc-1: 0 of 1 records proven, not heard from number 1 down" in told
    other = commune.folder / "carried.jsonl"
    other.write_bytes(line + b"\nentries 1 to 1\n")
    told = commune.does("proofs", "--wait", "0", "--records", f"coc-1={other}")
    assert "1 records of" in told and "coc-1: 1 of 1 records proven" in told
    assert "must be NAME=FILE" in commune.does("proofs", "--records", "coc-7=x", status=2)
