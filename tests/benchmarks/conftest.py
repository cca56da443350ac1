"""A gate in a tree of its own, with figures that a test chooses."""

import pytest

from benchmarks import gate
from benchmarks.village import latency


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Return a function that runs the gate on given rows, in a tree of its own."""
    monkeypatch.chdir(tmp_path)
    budgets, figures = tmp_path / "budgets.toml", tmp_path / "figures.json"
    monkeypatch.setattr(gate, "BUDGETS", budgets)
    monkeypatch.setattr(gate, "FIGURES", figures)

    def run(rows, *options):
        def measure(*, fast, row=None):
            return {name: one for name, one in rows.items() if fast and row in (None, name)}

        monkeypatch.setattr(latency, "measure", measure)
        return gate.run(["--fast", *options])

    budgets.write_text('[latency.fast]\n"pi ftth" = { mouth_to_ear_p99_ms = 834 }\n')
    return run
