"""Table [loop]: what is wrong in it is told in a line with file and field, all of it at once."""

from datetime import time

import pytest

from node.shell.cli import main
from node.shell.hearing.settings import HOURS_MAX, LoopConfig

CONTROL = '[control]\nroot_public_key = "' + "ab" * 32 + '"\narea = "vn/a"\nrules = []\n'
WRONG = {
    "colour = 1": "loop.colour: unknown; known here: kind, device, file,",
    'kind = "ear"': "loop.kind = 'ear': must be one of 'microphone', 'current'",
    'file = "/x"\ndevice = "hw:1"': "loop.file = '/x': must be left out where device is given",
    'file = ""': "loop.file = '': must be a path",
    'file = "/x\\u0000"': "loop.file = '/x\\x00': must be a path",
    'device = ""': "loop.device = '': must be a name, as arecord -L prints it",
    'device = "hw:1\\n"': "loop.device = 'hw:1\\n': must be a name, as arecord -L prints it",
    "rate_hz = 8000": "loop.rate_hz = 8000: must be 44100 or 48000",
    "tone_hz = 100.0": "loop.tone_hz = 100.0: must be 200 to 22080",
    "tone_dbfs = 0.0": "loop.tone_dbfs = 0.0: must be -60 to -6",
    "tone_s = 1.0": "loop.tone_s = 1.0: must be 2 to 5",
    'tone_hours = ["8-9"]': "loop.tone_hours = ('8-9',): must be up to 8 like 08:00-11:00",
    "silent_hz = 23000.0": "loop.silent_hz = 23000.0: must be 200 to 22080",
    "silent_dbfs = 0.0": "loop.silent_dbfs = 0.0: must be -80 to -12",
    'daily = "9"': "loop.daily = '9': must be like 09:00",
    "threshold_db = 3.0": "loop.threshold_db = 3.0: must be 6 to 40",
    "reference_db = 90.0": "loop.reference_db = (90.0, None): must be -100 to 60",
    "tolerance_db = 1.0": "loop.tolerance_db = 1.0: must be 3 to 40",
    "noise_max_dbfs = 3.0": "loop.noise_max_dbfs = 3.0: must be -80 to 0",
}


def check(path, capsys, text):
    path.write_text(f'name = "pole-1"\n{text}')
    status = main(["check", "--config", str(path)])
    return status, capsys.readouterr().err


@pytest.mark.parametrize(("text", "line"), WRONG.items())
def test_what_is_wrong_is_told_in_a_line_and_the_status_is_2(tmp_path, capsys, text, line):
    path = tmp_path / "node.toml"
    status, told = check(path, capsys, f"[loop]\n{text}\n{CONTROL}")
    assert status == 2
    assert told.startswith(f"{path}: {line}")
    assert len(told.splitlines()) == 1


def test_a_loop_without_orders_is_refused(tmp_path, capsys):
    path = tmp_path / "node.toml"
    status, told = check(path, capsys, '[loop]\nfile = "/x"\n')
    assert (status, told) == (2, f"{path}: loop: needs [control], whose proof it is for\n")


def test_a_microphone_is_not_trusted_to_hear_the_silent_tone_and_a_clamp_is():
    assert not LoopConfig(kind="microphone").tone(silent=True).is_certain
    assert LoopConfig(kind="microphone").tone(silent=False).is_certain
    assert LoopConfig(kind="current").tone(silent=True).is_certain


def test_so_many_hours_and_no_more():
    hours = ("08:00-09:00",) * HOURS_MAX
    assert LoopConfig(tone_hours=hours).rules("Asia/Ho_Chi_Minh").hours[0] == (time(8), time(9))
    with pytest.raises(ValueError, match=r"up to 8"):
        LoopConfig(tone_hours=(*hours, "08:00-09:00"))


def test_check_warns_of_a_microphone_of_unknown_gain_with_the_remedy(tmp_path, capsys):
    path = tmp_path / "node.toml"

    def says(text):
        path.write_text(f'name = "pole-1"\n[sink]\nkind = "null"\n{text}{CONTROL}')
        main(["check", "--config", str(path)])
        return capsys.readouterr().out

    told = says('[loop]\ndevice = "plughw:1"\n')
    assert "loop           microphone, plughw:1\n" in told
    assert "loop.reference_db is not set" in told
    assert "`loalang-node doctor --tone audible` says it" in told
    assert "reference_db" not in says('[loop]\ndevice = "plughw:1"\nreference_db = -20.0\n')
    assert "reference_db" not in says('[loop]\ndevice = "plughw:1"\nkind = "current"\n')
    assert "loop           none\n" in says("")
