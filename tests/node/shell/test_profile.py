"""In production a node runs with closed files only, and with nothing that is for a laboratory."""

import pytest

from node.shell.cli import main

NODE = """
name = "coc-1"
[control]
root_public_key = "{key}"
area = "vn/coc-1"
profile = "{profile}"
{more}
[store]
path = "{store}"
[mqtt]
password_file = "{password}"
"""


def config(tmp_path, profile, more=""):
    password = tmp_path / "password"
    password.write_text("x\n")
    password.chmod(0o600)
    path = tmp_path / "node.toml"
    path.write_text(
        NODE.format(
            key="a" * 64,
            profile=profile,
            more=more,
            store=tmp_path / "store",
            password=password,
        )
    )
    return path


@pytest.mark.parametrize("which", ["password", "store", "store.2"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_secret_file_that_others_may_read_or_write_is_refused_by_name(
    tmp_path, capsys, which, mode
):
    path = config(tmp_path, "production")
    (tmp_path / which).touch()
    (tmp_path / which).chmod(mode)
    assert main(["run", "--config", str(path), "--sink", "null", "--duration", "0.1"]) == 2
    told = capsys.readouterr().err
    assert f"chmod 600 {tmp_path / which}" in told


@pytest.mark.parametrize("name", ["unknown_streams", "unsigned_packets"])
def test_what_is_for_a_laboratory_is_refused_in_production(tmp_path, capsys, name):
    path = config(tmp_path, "production", f'{name} = "play"')
    assert main(["run", "--config", str(path)]) == 2
    assert f"{name} must be refuse" in capsys.readouterr().err
