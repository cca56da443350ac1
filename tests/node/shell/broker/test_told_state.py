"""What other programs read in a node's retained state."""

import json

import pytest

from node.shell.broker.told_state import HOMIE, told_state

LIFECYCLE = {"init", "ready", "disconnected", "sleeping", "lost", "alert"}
"""Homie 4.0.0 and 5.0.0, "Device lifecycle"."""


@pytest.mark.parametrize("word", ["starting", "ready", "degraded", "stopped", "lost"])
def test_a_program_that_knows_homie_understands_each_state(word):
    told = json.loads(told_state(word, 7, 8, ["no sound card"]))
    assert told["state"] == word and told["homie"] in LIFECYCLE
    assert (told["session"], told["beat_s"], told["why"]) == (7, 8, ["no sound card"])


def test_only_who_is_ready_is_ready_in_its_words_and_who_is_lost_is_lost():
    assert [one for one in HOMIE if HOMIE[one] == "ready"] == ["ready"]
    assert [one for one in HOMIE if HOMIE[one] == "lost"] == ["lost"]
    assert "why" not in json.loads(told_state("ready", 7, 8))
