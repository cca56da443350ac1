"""What somebody gets who asks the benchmark about a trace of his own."""

import gzip
import json

import numpy as np
import pytest

from benchmarks.playout.held_out_traces import family_names, held_out
from benchmarks.playout.playout import run
from benchmarks.playout.playout_cost import print_cost
from benchmarks.playout.playout_drive import make_trace
from benchmarks.playout.playout_held_out import best_fixed
from benchmarks.playout.playout_node import hear
from benchmarks.playout.playout_profiles import concealed_with_skew_pct, tone_step_ratio

KEYS = ["network_loss_pct", "mean_ms", "p95_ms", "p99_ms", "concealed_pct", "stretched_pct", "j"]


@pytest.fixture
def trace(tmp_path):
    """A trace with a constant transit of 30 ms; each hundredth packet is lost."""
    rows = [f"{n},{20 * n}.000,{'' if n % 100 == 7 else f'{20 * n + 30}.000'}" for n in range(1000)]
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["seq,send_ms,arrival_ms", *rows, ""]).encode()))
    return path


def test_a_fixed_delay_is_reported_as_that_delay_and_loses_what_the_network_lost(trace, capsys):
    assert run(["--trace", str(trace), "--mode", "synchronised", "--delay-ms", "60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == KEYS
    assert found["mean_ms"] == found["p99_ms"] == 60
    assert found["network_loss_pct"] == found["concealed_pct"] == pytest.approx(700 / 750, abs=1e-3)
    assert found["j"] == 60


def test_delay_0_is_the_fastest_packet_played_on_arrival(trace, capsys):
    assert run(["--trace", str(trace), "--mode", "synchronised", "--delay-ms", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mean_ms"] == 0
    assert found["j"] == 0


def test_the_adaptive_mode_answers_with_the_same_keys(trace, capsys):
    assert run(["--trace", str(trace), "--mode", "adaptive", "--late-ratio", "0.01", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == KEYS
    assert found["mean_ms"] < 60


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--trace", "/nowhere.csv.gz"], "/nowhere.csv.gz: No such file"),
        (["--mode", "best"], "invalid choice: 'best'"),
        (["--trace", "{trace}", "--late-ratio", "2"], "jitter.late_ratio = 2.0"),
        (["--trace", "{trace}", "--delay-ms", "-1"], "--delay-ms -1: must be 0 to 5000"),
        (["--json"], "need --trace"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(arguments, fault, trace, capsys):
    assert run([one.format(trace=trace) for one in arguments]) == 2
    said = capsys.readouterr().err
    assert fault in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "seq,send_ms,arrival_ms\n0,0\n", "seq,send_ms,arrival_ms\n0,0,1\n"]
)
def test_a_broken_trace_is_named(text, tmp_path, capsys):
    path = tmp_path / "broken.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert run(["--trace", str(path), "--json"]) == 2
    assert "broken" in capsys.readouterr().err


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("name", "asked"),
    [("ge_mild", 77), ("step", 245), ("roc_wifi5_rpi", 390), ("mm_TMobile-LTE-driving", 890)],
)
def test_one_setting_beats_the_best_peer_on_every_trace(name, asked, shared, capsys):
    path = shared / "traces" / "arrivals" / f"{name}.csv.gz"
    assert run(["--trace", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["j"] <= asked


def test_a_file_of_delays_is_a_trace_too(tmp_path, capsys):
    path = tmp_path / "profile.dat"
    path.write_text("\n".join("-1" if n % 100 == 7 else "30" for n in range(1000)))
    options = ["--mode", "synchronised", "--delay-ms", "20", "--json"]
    assert run(["--trace", str(path), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mean_ms"] == 20
    assert found["network_loss_pct"] == found["concealed_pct"]


def test_ten_minutes_of_skewed_clocks_are_not_heard():
    assert concealed_with_skew_pct(100.0) <= 0.003
    assert tone_step_ratio(-100.0, seconds=60) <= 1.05


def test_a_held_out_trace_is_the_same_each_time_and_no_two_are_alike():
    one, again = held_out("stalls, aperiodic", "A", 3), held_out("stalls, aperiodic", "A", 3)
    np.testing.assert_array_equal(one.arrival_ns, again.arrival_ns)
    for other in (held_out("stalls, aperiodic", "B", 3), held_out("stalls, aperiodic", "A", 4)):
        assert not np.array_equal(one.arrival_ns, other.arrival_ns)


def test_on_links_nobody_tuned_to_one_setting_is_never_far_above_the_best_fixed_delay(capsys):
    assert run(["--held-out", "B", "--draws", "1"]) == 0
    shown = capsys.readouterr().out
    for family in family_names():
        assert f"  {family} " in shown
    assert "MISSED" not in shown


def test_hindsight_finds_the_best_fixed_delay_of_a_trace():
    send = np.arange(1000) * 20.0
    late = np.where(np.arange(1000) % 250 == 249, 400.0, 30.0)  # 3 of 750: 0.4 %, 80 ms
    trace = make_trace("made", send, send + late)
    assert best_fixed(trace) == pytest.approx((0.0, 200 * 100 * 3 / 750))


def test_speech_through_a_whole_node_keeps_its_pitch_and_has_no_clicks(tmp_path):
    send = np.arange(1500) * 20.0
    arrival = send + 10 + np.random.default_rng(1).exponential(5, send.size)
    for begin in (8000, 14_000, 19_500, 26_000):
        arrival[(arrival > begin) & (arrival < begin + 250)] = begin + 250
    trace = make_trace("made", send, np.maximum.accumulate(arrival))
    heard = hear(trace, wav=tmp_path / "made.wav", wav_s=(7, 9))
    assert heard.steady_pct + heard.faster_pct + heard.slower_pct == pytest.approx(100)
    assert 50 < heard.steady_pct < 100
    assert heard.step_ratio < 1.3
    assert heard.pitch_cents_p50 < 20
    assert heard.mean_ms < 200
    assert (tmp_path / "made_heard.wav").stat().st_size == 44 + 2 * 48_000 * 2


def test_a_whole_node_costs_no_more_than_was_asked_per_second_of_sound(capsys):
    send_ms = 20.0 * np.arange(1500)
    assert print_cost(make_trace("steady", send_ms, send_ms + 30)) == []
    assert capsys.readouterr().out.count("(must: 3.0)") == 4
