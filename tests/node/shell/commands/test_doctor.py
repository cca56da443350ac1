"""`loalang-node doctor`: twelve broken installations and more, each found, with what helps."""

import datetime
import json
import os
import shutil
import socket
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.control.calendar.play_state import Record
from node.control.proof.proof import ProofChain
from node.shell.cli import main
from node.shell.doctor import machine_checks, running_node
from node.shell.store.store import Store


class Installation:
    """A folder with the configuration of a node, and what doctor says of it."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        (folder / "media").mkdir()
        (folder / "store").mkdir()
        self.tables = {
            "receive": f'listen = "127.0.0.1:{self.port}"',
            "sink": 'kind = "null"',
            "mqtt": 'host = "127.0.0.1"\nport = 1',
            "store": f'path = "{folder}/store/kept.db"',
            "control": (
                f'root_public_key = "{"ab" * 32}"\narea = "vn/coc-1"\nclock = "trusted"\n'
                f'media_folder = "{folder}/media"'
            ),
        }

    def says(self, *more):
        """Return the findings by part, the worst of each, and the exit status."""
        text = 'name = "coc-1"\n' + "".join(f"[{k}]\n{v}\n" for k, v in self.tables.items())
        path = self.folder / "node.toml"
        path.write_text(text)
        status = main(["doctor", "--config", str(path), "--json", *more])
        found = json.loads(self.capsys.readouterr().out)
        order = ["good", "note", "fault"]
        worst = {}
        for one in sorted(found, key=lambda one: order.index(one["grade"])):
            worst[one["part"]] = one
        return worst, status

    def finds(self, part, *words, grade="fault", more=("--offline",)):
        worst, status = self.says(*more)
        one = worst[part]
        assert one["grade"] == grade, one
        assert status == (1 if any(f["grade"] == "fault" for f in worst.values()) else 0)
        said = f"{one['text']} {one['remedy']}"
        for word in words:
            assert word in said, said
        assert one["remedy"], "each finding has its remedy"


@pytest.fixture
def pole(tmp_path, capsys):
    return Installation(tmp_path, capsys)


def test_1_a_configuration_that_is_wrong_is_named_by_its_place(pole):
    pole.tables["jitter"] = "playout_delay_ms = -1"
    pole.finds("configuration", "playout_delay_ms")


def test_2_a_port_that_another_program_has(pole):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", pole.port))
        pole.finds("port", "in use", "ss -ulnp", grade="note")


def test_3_no_sound_card(pole, tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("def query_devices(): return []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "sounddevice", raising=False)
    pole.tables["sink"] = 'kind = "card"'
    pole.finds("sound card", "aplay -l")
    monkeypatch.delitem(__import__("sys").modules, "sounddevice", raising=False)


def test_4_no_real_time_priority(pole, monkeypatch):
    monkeypatch.setattr(machine_checks.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(machine_checks.resource, "getrlimit", lambda _: (0, 0))
    pole.finds("priority", "LimitRTPRIO", grade="note")


def test_5_a_clock_that_was_never_set(pole, monkeypatch):
    monkeypatch.setattr(machine_checks, "utc_ns", lambda: 0)
    pole.finds("clock", "chrony")


def test_6_a_clock_that_no_server_sets(pole, monkeypatch):
    monkeypatch.setattr(machine_checks, "clock_synchronised", lambda: False)
    pole.tables["control"] = pole.tables["control"].replace("trusted", "kernel")
    pole.finds("clock", "only urgent orders act", "chronyc")


def test_7_a_broker_that_does_not_answer(pole):
    pole.finds("broker", "127.0.0.1:1", "is the network up", more=())


def certificate(folder, days):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coc-1")])
    now = datetime.datetime.now(datetime.UTC)
    one = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    (folder / "node.pem").write_bytes(one.public_bytes(serialization.Encoding.PEM))
    secret = folder / "node.key"
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    secret.chmod(0o600)
    return (
        f'host = "127.0.0.1"\nport = 1\nca_file = "{folder}/node.pem"\n'
        f'certificate_file = "{folder}/node.pem"\nkey_file = "{folder}/node.key"'
    )


@pytest.mark.parametrize(
    ("days", "grade", "word"), [(-3, "fault", "ended"), (20, "note", "renew"), (300, "good", "")]
)
def test_8_a_certificate_that_has_ended_or_soon_will(pole, days, grade, word):
    pole.tables["mqtt"] = certificate(pole.folder, days)
    one = pole.says("--offline")[0]["certificate"]
    assert one["grade"] == grade and word in f"{one['text']} {one['remedy']}"


def test_9_a_key_that_others_may_read(pole):
    pole.tables["mqtt"] = certificate(pole.folder, 300)
    (pole.folder / "node.key").chmod(0o644)
    pole.finds("credentials", "others may read", "chmod 600")


def test_10_kernels_that_were_never_compiled(pole, monkeypatch, tmp_path):
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("LOALANG_KERNEL_CACHE", str(tmp_path / "cache"))
    pole.finds("kernels", "loalang-node check", grade="note")


def test_11_a_disk_without_space(pole, monkeypatch):
    usage = shutil.disk_usage(pole.folder)
    monkeypatch.setattr(
        machine_checks.shutil, "disk_usage", lambda _: type(usage)(usage.total, usage.used, 1000)
    )
    pole.finds("disk", "free some space")


def test_12_a_store_that_is_damaged_in_both_copies(pole):
    for name in ("kept.db", "kept.db.2"):
        (pole.folder / "store" / name).write_bytes(b"\0" * 100)
    pole.finds("store", "damaged in both", "publish certificates")


def test_13_a_siren_that_is_not_there(pole):
    siren = "c" * 64
    pole.tables["control.alert.phrases.any"] = f'siren = "{siren}"\nsiren_s = 2'
    pole.finds("stored sounds", siren, "loalang-node keep")


def test_14_memory_that_is_used_up(pole, monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemAvailable:       9000 kB\n")
    monkeypatch.setattr(machine_checks, "MEMORY_FILE", tmp_path / "meminfo")
    pole.finds("memory", "8 MB free", "top")


@pytest.mark.parametrize(("stamps", "grade"), [("1", "note"), ("0", "good"), (None, "good")])
def test_15_a_link_that_pays_for_time_stamps(pole, monkeypatch, tmp_path, stamps, grade):
    file = tmp_path / "tcp_timestamps"
    if stamps is not None:
        file.write_text(f"{stamps}\n")
    monkeypatch.setattr(machine_checks, "STAMPS_FILE", file)
    one = pole.says("--offline")[0]["idle data"]
    assert one["grade"] == grade
    assert ("sysctl net.ipv4.tcp_timestamps=0" in one["remedy"]) == (grade == "note")


def test_what_played_last_and_why_not_and_who_may_order_is_told(pole):
    store, chain = Store(pole.folder / "store" / "kept.db"), ProofChain({})
    for serial, (name, outcome) in enumerate([("news", "played"), ("siren", "missed")], 1):
        record = Record(serial=serial, name=name, day="d", outcome=outcome, reason="no power")
        key, block, _ = chain.add(record)
        store.keep({key: block})
    store.close()
    worst, _ = pole.says("--offline")
    assert "siren: missed, no power" in worst["last"]["text"]
    assert worst["authorities"]["text"] == "only the root may order"
    assert worst["store"]["grade"] == "good"
    before = sorted(os.listdir(pole.folder / "store"))
    pole.says("--offline")
    assert sorted(os.listdir(pole.folder / "store")) == before


def test_it_is_text_for_people_too(pole, capsys):
    pole.says("--offline")
    path = str(pole.folder / "node.toml")
    assert main(["doctor", "--config", path, "--offline"]) in (0, 1)
    out = capsys.readouterr().out
    assert "good  configuration" in out and "-> " in out


@pytest.mark.parametrize(
    ("life_time", "pre_eol", "grade"),
    [("0x01 0x02", "0x01", "good"), ("0x08 0x01", "0x01", "good"), ("0x01 0x09", "0x01", "fault"),
     ("0x0b 0x0b", "0x03", "fault"), ("0x00 0x00", "0x02", "fault"), ("nonsense", "0x01", None),
     ("0x01 0x01", "", None)],
)  # fmt: skip
def test_a_worn_memory_is_told_before_it_fails(
    pole, tmp_path, monkeypatch, life_time, pre_eol, grade
):
    folder = tmp_path / "block" / "mmcblk0" / "device"
    folder.mkdir(parents=True)
    (folder / "life_time").write_text(life_time + "\n")
    (folder / "pre_eol_info").write_text(pre_eol + "\n")
    monkeypatch.setattr(machine_checks, "BLOCK_FOLDER", tmp_path / "block")
    one = pole.says("--offline")[0].get("wear")
    assert (None if one is None else one["grade"]) == grade
    assert grade != "fault" or ("mmcblk0" in one["text"] and "change it" in one["remedy"])


def keep_record(pole, **record):
    store, chain = Store(pole.folder / "store" / "kept.db"), ProofChain({})
    key, block, _ = chain.add(Record(serial=1, day="", **record))
    store.keep({key: block})
    store.close()


def test_a_pole_without_a_loop_is_told_what_that_means(pole):
    pole.finds("loop", "acoustically unverified", grade="note")


def test_a_loop_that_cannot_be_opened_is_found(pole, monkeypatch):
    pole.tables["loop"] = f'file = "{pole.folder}/none"'
    pole.finds("loop", "none cannot be read")
    pole.tables["loop"] = f'file = "{pole.folder}"'
    pole.finds("loop", "is no FIFO and no file", "loop.file")
    monkeypatch.setenv("PATH", str(pole.folder))
    pole.tables["loop"] = 'device = "hw:1"'
    pole.finds("loop", "arecord is missing", "apt install alsa-utils")


def test_a_microphone_that_knows_no_gain_is_told_what_it_cannot_tell_apart(pole):
    os.mkfifo(pole.folder / "fifo")
    pole.tables["loop"] = f'file = "{pole.folder}/fifo"'
    pole.finds("loop reference", "neighbour's horn", "doctor --tone", grade="note")
    pole.tables["loop"] += "\nreference_db = -20.0"
    assert "loop reference" not in pole.says("--offline")[0]


def test_what_the_loop_heard_last_is_told_with_its_age_and_what_helps(pole):
    (pole.folder / "fifo").touch()
    pole.tables["loop"] = f'file = "{pole.folder}/fifo"'
    pole.finds("loop", "nothing was tested yet", "order self-test", grade="note")
    ended_s = int(time.time()) - 3 * 86_400
    test = {"name": "self-test", "writer": "self-test", "ended_s": ended_s}
    heard = "microphone, tone heard, margin 23 dB"
    keep_record(pole, **test, outcome="played", heard_by=heard)
    one = pole.says("--offline")[0]["loop"]
    assert (one["grade"], one["text"]) == ("good", f"self-test, 3 days ago: {heard}")


def test_a_horn_that_was_not_heard_last_is_a_fault(pole):
    (pole.folder / "fifo").touch()
    pole.tables["loop"] = f'file = "{pole.folder}/fifo"'
    by = "card, acoustically unverified; the microphone heard nothing of it at 4 of 4 looks"
    reason, ended_s = "the microphone heard nothing of it", int(time.time()) - 7200
    keep_record(pole, name="siren", outcome="missed", reason=reason, heard_by=by, ended_s=ended_s)
    pole.finds("loop", f"siren, 2 h ago: {reason}", "is the amplifier on")


@pytest.mark.parametrize(
    ("active", "status", "grade"),
    [
        ("active", "degraded: loop capture: mic: Permission denied", "fault"),
        ("activating", "degraded: no sound card", "fault"),
        ("active", "ready", "good"),
        ("inactive", "degraded: loop capture: mic", None),
        ("active", "", None),
    ],
)
def test_what_the_running_unit_says_of_itself_is_told(pole, monkeypatch, active, status, grade):
    program = pole.folder / "systemctl"
    program.write_text(f"#!/bin/sh\necho 'ActiveState={active}'\necho 'StatusText={status}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{pole.folder}:{os.environ['PATH']}")
    one = pole.says("--offline")[0].get("running node")
    assert (None if one is None else one["grade"]) == grade
    if one is not None:
        assert one["text"] == status.removeprefix("degraded: ")
        assert one["remedy"] or grade == "good"


def test_a_supervisor_that_fails_or_hangs_is_no_finding(pole, monkeypatch):
    program = pole.folder / "systemctl"
    program.write_text("#!/bin/sh\necho 'System has not been booted with systemd' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{pole.folder}:{os.environ['PATH']}")
    assert "running node" not in pole.says("--offline")[0]
    monkeypatch.setattr(running_node, "PATIENCE_S", 0.2)
    program.write_text("#!/bin/sh\nexec sleep 100\n")
    assert "running node" not in pole.says("--offline")[0]
