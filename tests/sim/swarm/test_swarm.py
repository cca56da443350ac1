"""Random histories break no rule, and what is wrong is found, small, and replayed to the bit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.village import swarm as planted
from node.config import ConfigError
from sim import cli
from sim.swarm import ledger
from sim.swarm.campaign import Campaign, first_difference
from sim.swarm.draw import script_of
from sim.swarm.ear import Ear
from sim.swarm.history import live
from sim.swarm.reached import reached
from sim.swarm.rules import broken
from sim.swarm.script import Pole, Script, Step, read, written
from sim.swarm.tones import new_decoder
from sim.swarm.village import live_tone

LEDGER = Path(__file__).parents[1] / "seeds.toml"
POLE = Pole(name="n1", bearer="perfect")
ALERT = Step(at_s=20.0, do="alert", number=1, event="FFW")

LIVE = Step(at_s=10.0, do="live", number=50, for_s=16.0, ttl_s=20)

FOUND = {
    "replay check off": (ALERT, Step(at_s=25.0, do="mute", number=2),
                         Step(at_s=27.0, do="replayed", about=2)),
    "acknowledged order lost": tuple(
        Step(at_s=20.0 + i, do="mute", number=i) for i in range(1, 5)
    ),
    "two sources at once": (replace(ALERT, at_s=70.0),),
    "report before the sound": (ALERT,),
    "EARLY packets kept from the time base": (
        LIVE, Step(at_s=18.0, do="skip_ahead", about=50, amount=4.0)
    ),
    "a warning refused for nothing": tuple(
        replace(ALERT, at_s=20.0 + 20 * i, number=1 + i) for i in range(4)
    ),
    "over after its siren": (ALERT,),
    "only urgent warnings sound": (replace(ALERT, priority=True),),
    "not taken up after a boot": (ALERT, Step(at_s=24.0, do="power_cut", for_s=3.0)),
    "a cancel refused": (ALERT, Step(at_s=25.0, do="cancel", number=2, about=1)),
    "35 dB too soft": (ALERT,),
    "none waits for its like": (ALERT, replace(ALERT, at_s=ALERT.at_s + 1, number=2, event="TSW")),
    "gaps of the card are not told": (
        ALERT, Step(at_s=24.0, do="cpu_throttle", amount=0.001, for_s=20.0)
    ),
}  # fmt: skip
"""The planted faults, each in few steps; `python -m benchmarks swarm` finds them from seeds."""


@pytest.mark.parametrize("entry", ledger.read(LEDGER), ids=lambda one: one.name)
def test_what_once_failed_holds_for_good(entry):
    assert [one.said() for one in broken(live(entry.script))] == []


@pytest.mark.parametrize("first", [0, 1000])
def test_random_histories_break_no_rule(first):
    campaign = Campaign()
    for _ in campaign.run(range(first, first + 6)):
        pass
    assert [one.first.said() for one in campaign.failures] == []
    assert campaign.differing == []
    assert campaign.lived == 6
    assert campaign.reached


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_fault_is_found(name):
    script = Script(seed=1, poles=(POLE,), steps=FOUND[name])
    assert broken(live(script)) == []
    with planted.PLANTS[name]():
        assert broken(live(script))


def test_a_failure_is_shrunk_to_the_steps_that_matter_and_its_file_replays_it(tmp_path, capsys):
    with planted.PLANTS["report before the sound"]():
        campaign = Campaign()
        for _ in campaign.run([0]):
            pass
        [failure] = campaign.failures
        assert len(failure.script.steps) == 1
        path = tmp_path / "small.toml"
        path.write_text(written(failure.script))
        assert read(path) == failure.script
        assert cli.main(["swarm", "--replay", str(path)]) == 3
    assert failure.first.rule in capsys.readouterr().out
    assert cli.main(["swarm", "--replay", str(path)]) == 0
    assert "holds" in capsys.readouterr().out


def test_a_campaign_says_what_it_never_reached_and_that_is_no_success(tmp_path, capsys):
    assert cli.main(["swarm", "--seeds", "1", "--out", str(tmp_path)]) == 3
    out = capsys.readouterr()
    assert "never reached: broker away over midnight" in out.err
    assert list(tmp_path.iterdir()) == []


def test_a_history_twice_is_one_and_another_seed_is_another():
    script = Script(seed=3, poles=(POLE,), steps=(ALERT,))
    assert first_difference(live(script), live(script)) is None
    other = first_difference(live(script), live(replace(script, seed=4)))
    assert other is not None and other.count("\n") == 2, "the first event, with both lines"


@settings(max_examples=50)
@given(st.integers(0, 2**31))
def test_every_script_that_is_drawn_reads_back_from_its_file(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("scripts") / "one.toml"
    path.write_text(written(script_of(seed)), encoding="utf-8")
    assert read(path) == script_of(seed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = 1\npoles = []", "swarm.poles"),
        ('seed = 1\npoles = [{name = "a"}]\nsteps = [{at_s = 1.0, do = "flood"}]', "steps[0].do"),
        (
            'seed = 1\npoles = [{name = "a"}]\nsteps = [{at_s = 1.0, do = "alert", pole = "b"}]',
            "swarm.steps.pole",
        ),
        ("seed = ", "one.toml"),
    ],
)
def test_a_fault_in_a_script_is_named_and_ends_with_status_2(text, said, tmp_path, capsys):
    path = tmp_path / "one.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said.replace("[", r"\[").replace("]", r"\]")):
        read(path)
    assert cli.main(["swarm", "--replay", str(path)]) == 2
    assert said in capsys.readouterr().err


HEARD = {
    "as it is": (),
    "taken up again after a warning": (replace(ALERT, at_s=15.0),),
    "repaired when it is pre-empted": (
        Step(at_s=14.84, do="link_down", for_s=0.16, way="down"), replace(ALERT, at_s=15.0),
    ),
    "after its sender began anew": (Step(at_s=15.0, do="sender_restart", about=50, for_s=2.0),),
    "after its sender skipped ahead": (Step(at_s=15.0, do="skip_ahead", about=50, amount=300.0),),
    "by a longer way": (Step(at_s=15.0, do="detour", for_s=8.0, amount=0.6),),
    "and muted": (Step(at_s=15.0, do="mute", number=9, ttl_s=5),),
    "and its node off": (Step(at_s=15.0, do="power_cut", for_s=2.0),),
}  # fmt: skip


@pytest.mark.parametrize("name", HEARD)
def test_a_live_programme_is_heard(name):
    steps = tuple(sorted((LIVE, *HEARD[name]), key=lambda one: one.at_s))
    history = live(Script(seed=1, poles=(replace(POLE, bearer="ftth"),), steps=steps))
    assert [one.said() for one in broken(history)] == []
    heard = [one for one in history.poles["n1"].ear.heard if one.tone == live_tone(50)]
    assert heard[0].start_ns < 13 * 10**9
    repaired = name.startswith("repaired")
    assert ("pre-empted while repairing" in reached(history)) == repaired


def test_a_live_programme_that_is_not_heard_or_for_too_long_is_found():
    history = live(Script(seed=1, poles=(POLE,), steps=(replace(LIVE, reports=False),)))
    assert broken(history) == []
    one = next(one for one in history.poles["n1"].ear.heard if one.tone == live_tone(50))
    end_ns, recorded = one.end_ns, "the record of a live programme tells what sounded"
    one.end_ns = end_ns + 60 * 10**9
    assert {two.rule for two in broken(history)} == {recorded, "nothing sounds that nobody orders"}
    one.end_ns = one.start_ns
    heard = "a live programme whose packets come is heard"
    assert {two.rule for two in broken(history)} == {recorded, heard}


def played(*tones, seconds=1.0, gain=1.0):
    decoder, packets = new_decoder(48_000, 1), round(seconds * 50)
    sound = np.zeros((960 * packets, 1), np.float32)
    out = np.zeros((960, 1), np.float32)
    for tone in tones:
        decoder.decode(np.array([0x48, tone], np.uint8), out)
        sound += np.tile(out, (packets, 1)) * np.float32(gain)
    return sound


def test_an_ear_hears_which_tones_sound_from_when_to_when_and_whether_two_do():
    ear = Ear()
    ear.note_sound(played(3), 0)
    ear.note_sound(played(5, gain=0.01), 10**9)
    ear.note_sound(np.zeros((48_000, 1), np.float32), 2 * 10**9)
    ear.note_sound(played(3, 4), 3 * 10**9)
    heard = [(one.tone, one.start_ns // 10**6, one.end_ns // 10**6) for one in ear.heard]
    assert heard == [(3, 0, 1000), (5, 1000, 2000), (3, 3000, 4000), (4, 3000, 4000)]
    assert [(one.start_ns, one.length_ns) for one in ear.both] == [(3 * 10**9, 10**9)]
    assert ear.first_ns((3,), 10**9) == 3 * 10**9
    assert ear.heard_ns((3, 5), 10**9 + 5 * 10**8) == 15 * 10**8
    assert ear.peak == pytest.approx(1.0, abs=0.05)


def test_the_journal_is_made_of_lines_that_a_person_can_read():
    history = live(Script(seed=3, poles=(POLE,), steps=(ALERT,)))
    assert any("order" in line and line.endswith("waiting") for line in history.journal)
    assert json.dumps(history.journal)


@pytest.mark.parametrize(("bearer", "after_s"), [("lte_good", 32), ("perfect", 22)])
def test_a_pole_is_there_again_when_its_modem_has_attached(bearer, after_s):
    cut = Step(at_s=30.0, do="power_cut", for_s=5.0)
    script = Script(seed=1, poles=(Pole(name="n1", bearer=bearer),), steps=(cut,))
    assert script.healed_s == 35 + after_s
    pole = live(script).poles["n1"]
    back_s = min(start for start, _ in pole.connected if start > 35 * 10**9) / 10**9 - 35
    assert after_s < back_s < after_s + 8
