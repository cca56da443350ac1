"""`loalang-node explain`: why it is as loud as it is, at the prompt."""

import pytest

from node.shell.cli import main

CONFIG = """
name = "coc-1"
[control]
root_public_key = "{key}"
area = "vn/lang-son/huu-lien/lang-coc/coc-1"
horns = [{{ bearing_deg = 0.0 }}]
dwelling = {{ distance_m = 50.0, bearing_deg = 0.0 }}
[control.volume]
volume = 70
quiet_hours = [{{ name = "Đêm", volume_max = 20, start = "21:00", end = "05:30" }}]
{more}
"""


def explained(tmp_path, capsys, *arguments, more="", key="ab" * 32):
    path = tmp_path / "node.toml"
    path.write_text(CONFIG.format(key=key, more=more), encoding="utf-8")
    status = main(["explain", "--config", str(path), *arguments])
    out = capsys.readouterr()
    return status, out.out.strip(), out.err.strip()


def test_it_says_the_reasons_in_both_languages(tmp_path, capsys):
    status, said, _ = explained(tmp_path, capsys, "--at", "2026-11-22T05:00")
    assert status == 0
    assert said.startswith("On Sunday 22 November 2026 at 05:00 (Asia/Ho_Chi_Minh) a normal")
    assert "allow at most 20, which lowers it to 20." in said and "within the 55 of" in said
    arguments = ("--at", "2026-11-22T05:00", "--class", "urgent", "--language", "vi")
    status, said, _ = explained(tmp_path, capsys, *arguments)
    assert status == 0 and said.startswith("Chủ nhật ngày 22 tháng 11 năm 2026, lúc 05:00")
    assert "mức sàn khẩn cấp" in said and "bảo vệ tính mạng" in said


@pytest.mark.parametrize(
    ("arguments", "more", "key", "why"),
    [
        (("--at", "tomorrow"), "", "ab" * 32, "--at tomorrow: must be"),
        (("--at", "2026-11-22T05:00"), "[control.site]\nlat = 1", "ab" * 32, "control.site.lat"),
        (("--at", "2026-11-22T05:00"), "", "zz", "control.root_public_key = 'zz'"),
    ],
)
def test_a_wrong_time_or_table_is_named_and_ends_with_2(
    tmp_path, capsys, arguments, more, key, why
):
    status, _, fault = explained(tmp_path, capsys, *arguments, more=more, key=key)
    assert status == 2 and why in fault


def test_a_rule_file_that_is_not_there_is_named(tmp_path, capsys):
    path = tmp_path / "node.toml"
    text = CONFIG.format(key="ab" * 32, more="").replace("[control]", '[control]\nrules = ["law"]')
    path.write_text(text, encoding="utf-8")
    assert main(["explain", "--config", str(path), "--at", "2026-11-22T05:00"]) == 2
    assert "control.rules: 'law': no such file" in capsys.readouterr().err
