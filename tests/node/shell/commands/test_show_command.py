"""`loalang-node matrix` and `proof`: who goes before whom, and what became of it."""

import pytest

from node.control.calendar.play_state import Record
from node.control.proof.proof import ProofChain
from node.shell.cli import main
from node.shell.store.store import Store


def configured(folder, more=""):
    path = folder / "node.toml"
    path.write_text(
        f'name = "coc-1"\n[store]\npath = "{folder}/store.db"\n[control]\n'
        f'root_public_key = "{"ab" * 32}"\narea = "vn/coc-1"\n{more}'
    )
    return str(path)


def kept(folder, names):
    store, chain = Store(folder / "store.db"), ProofChain({})
    for serial, name in enumerate(names, 1):
        key, block, _ = chain.add(Record(serial=serial, name=name, day="d", outcome="played"))
        store.keep({key: block})
    return store


def test_the_matrix_of_the_nodes_own_rules_is_printed(tmp_path, capsys):
    path = configured(tmp_path, '[control.priority]\nduck_db = { "urgent over normal" = -20.0 }\n')
    assert main(["matrix", "--config", path]) == 0
    table = capsys.readouterr().out
    assert "DUCK -20 dB" in table and "PREEMPT" in table and "priority/commune" in table


def test_the_chain_is_printed_and_holds_or_does_not(tmp_path, capsys):
    path = configured(tmp_path)
    store = kept(tmp_path, ["news", "siren", "news"])
    assert main(["proof", "--config", path]) == 0
    told = capsys.readouterr().out
    assert told.count('"outcome":"played"') == 3 and "entries 1 to 3" in told
    assert told.rstrip().endswith("the chain holds")
    block = store.kept()["proof/000"]
    store.keep({"proof/000": block.replace(b"siren", b"quiet")})
    store.close()
    assert main(["proof", "--config", path]) == 1
    assert "does not follow the one before it" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["matrix", "proof"])
def test_what_is_missing_is_named(tmp_path, capsys, command):
    path = tmp_path / "bare.toml"
    path.write_text('name = "coc-1"')
    assert main([command, "--config", str(path)]) == 2
    missing = "no table [control]" if command == "matrix" else "nothing is kept"
    assert missing in capsys.readouterr().err
