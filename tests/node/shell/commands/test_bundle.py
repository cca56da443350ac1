"""The file that doctor makes for who helps: all that helps, and nothing that opens anything."""

import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.shell.cli import main
from node.shell.doctor.bundle import redacted

CONFIG = """name = "coc-1"
[receive]
listen = "127.0.0.1:5004"
[sink]
kind = "null"
[mqtt]
host = "127.0.0.1"
password_file = "/etc/loalang/password"
[control]
root_public_key = "{key}"
area = "vn/coc-1"
[control.site]
lat_deg = 21.6512
lon_deg = 106.3634
"""
KEY = "ab" * 32


def read(path):
    with tarfile.open(path) as bundle:
        return {one.name: bundle.extractfile(one).read().decode() for one in bundle.getmembers()}


def test_the_bundle_has_findings_configuration_and_versions_and_no_secret(tmp_path, capsys):
    config = tmp_path / "node.toml"
    config.write_text(CONFIG.format(key=KEY))
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text("password = 'hush'\n")  # a mistake, told
    made = tmp_path / "for-help.tar.gz"
    main(["doctor", "--offline", "--config", str(config), "--bundle", str(made)])
    found = read(made)
    capsys.readouterr()
    told = json.loads(found["loalang-doctor/findings.json"])
    assert any("password" in one["text"] for one in told)
    assert "listen" in found["loalang-doctor/configuration/node.toml"]
    assert "/etc/loalang/password" in found["loalang-doctor/configuration/node.toml"]
    assert "numpy" in found["loalang-doctor/versions.txt"]
    assert "loalang-doctor/journal.txt" in found
    for text in found.values():
        for secret in (KEY, "hush", "21.65", "106.36"):
            assert secret not in text


def test_a_bundle_that_cannot_be_written_is_a_line(tmp_path, capsys):
    config = tmp_path / "node.toml"
    config.write_text('name = "coc-1"\n')
    where = tmp_path / "none" / "b.tar.gz"
    assert main(["doctor", "--offline", "--config", str(config), "--bundle", str(where)]) == 1
    assert str(where) in capsys.readouterr().err


@given(st.binary(min_size=16, max_size=64), st.text(max_size=20))
def test_no_key_of_any_length_stays_in_any_text(key, around):
    assert key.hex() not in redacted(f"{around} {key.hex()} {around}")


@pytest.mark.parametrize(
    ("text", "stays"),
    [("fetch https://me:hush@radio/x failed", "https://…@radio/x"),
     ('  "mqtt.password" = "hush"', '  "mqtt.password" = …'),
     ('password_file = "/etc/x"', 'password_file = "/etc/x"'),
     ('mqtt = { password = "hush", port = 1 }', "mqtt = { password = …, port = 1 }"),
     ('password = """\nhush\n"""\nport = 1', "password = …\nport = 1"),
     ("password = so hush\nport = 1", "password = …\nport = 1"),
     ("-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----", "KEY-----…-----END"),
     ("fetch https://radio/x?key=hush failed", "https://radio/x?… failed"),
     ("lat_deg = 21.65", "lat_deg = …")],
)  # fmt: skip
def test_passwords_and_places_are_left_out_and_the_rest_stays(text, stays):
    assert stays in redacted(text) and "hush" not in redacted(text)
