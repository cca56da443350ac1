"""The measurement that CI runs says what was promised."""

import json

import pytest

from benchmarks.control.control import run
from benchmarks.control.control_urgent import run_urgent


def test_the_fast_measurement_keeps_every_promise(capsys: pytest.CaptureFixture[str]):
    assert run(["--fast", "--json", "--only", "urgent"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["broken"] == [] and shown["urgent"]["situations"] == 100


def test_an_urgent_message_sounds_within_200_ms_whatever_else_plays():
    result = run_urgent(300, seed=3)
    assert result.not_heard == 0 and result.two_at_once == 0
    assert result.first_sample_worst_ms <= 200.0 and result.alone_p999_ms <= 200.0
