"""A sweep counts by the fleet: the rows are those of node by node."""

from dataclasses import replace

from sim.sweep import throw
from sim.sweep.settings import read_variants
from sim.sweep.sweep import PROGRAMME

fleet = throw.counted


def test_rows_are_the_same_whoever_counts(asked, monkeypatch):
    variants = read_variants(["sender.reports=true,false", "jitter.playout_delay_ms=120,400"])
    sweep = replace(asked, variants=variants, measures=(PROGRAMME,))
    counted = []
    monkeypatch.setattr(throw, "counted", lambda *all: counted.append(1) or fleet(*all))
    by_fleet = [throw.rows_of(sweep, number) for number in range(4)]
    monkeypatch.setattr(throw, "why_not", lambda scenario: ["asked for"])
    assert [throw.rows_of(sweep, number) for number in range(4)] == by_fleet
    assert len(counted) == 16
    assert any(row["packets_late"] for rows in by_fleet for row in rows)
    assert any(row["retransmitted_ms"] for rows in by_fleet for row in rows)
