"""The store's trial finds a store that forgets, and finds none here."""

from benchmarks.control import store
from node.shell.store.store import Store

FEW = ["--cuts", "10", "--flips", "10"]


def test_no_cut_truncation_flip_or_refusal_costs_what_was_durable(capsys):
    assert store.run(FEW) == 0, capsys.readouterr().out


def test_a_store_that_tells_too_early_that_something_is_on_the_disk_is_found(monkeypatch, capsys):
    monkeypatch.setattr(Store, "durable", property(lambda self: self.number))
    assert store.run([*FEW, "--cuts", "100"]) == 1
    assert "100 power cuts: 0 failed" not in capsys.readouterr().out
