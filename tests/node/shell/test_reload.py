"""Several files make one configuration, and a bad one that comes while the node runs is refused."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.rig.rig_network import free_port
from node.config import ConfigError
from node.shell.config import read_config
from node.shell.drop_ins import FILES_MAX
from node.shell.faults import ShellError


@pytest.fixture
def main_file(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(
        f'name = "pole-7"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\nsources_max = 3\n'
        '[opus]\ndecoder = "libopus"\n[sink]\nkind = "null"\n[mqtt]\nzones = ["a", "b"]\n'
    )
    (tmp_path / "conf.d").mkdir()
    return path


def drop_in(main_file, name, text):
    (main_file.parent / "conf.d" / name).write_text(text)


def test_drop_ins_are_merged_in_order_of_their_names(main_file):
    drop_in(main_file, "20-b.toml", '[receive]\nhold_ms = 900\n[mqtt]\nzones = ["c"]\n')
    drop_in(main_file, "10-a.toml", "[receive]\nhold_ms = 800\n[jitter]\nplayout_delay_ms = 300\n")
    drop_in(main_file, "30.toml.off", "nonsense")
    drop_in(main_file, ".40.toml", "nonsense")
    node, shell = read_config(main_file)
    assert (node.receive.sources_max, node.receive.hold_ms) == (3, 900)
    assert node.jitter.playout_delay_ms == 300
    assert shell.mqtt.zones == ("c",), "a list is replaced"
    assert read_config(main_file, alone=True)[1].mqtt.zones == ("a", "b")


def test_a_fault_names_the_file_that_said_it(main_file):
    drop_in(main_file, "10.toml", "[receive]\nhold_ms = -1\n[mqtt]\nport = 99999\nfoo = 1\n")
    main_file.write_text(main_file.read_text().replace("sources_max = 3", "sources_max = 99999"))
    with pytest.raises(ConfigError) as told:
        read_config(main_file)
    lines = str(told.value).split("\n")
    by_field = {line.split(": ")[1].split(" ")[0]: line.split(": ")[0] for line in lines}
    assert by_field["mqtt.foo"] == f"{main_file.parent}/conf.d/10.toml"
    assert any(line.startswith(f"{main_file}: receive.sources_max") for line in lines), lines
    assert any("10.toml: receive.hold_ms" in line for line in lines), lines


@pytest.mark.parametrize("text", ["[receive", "\udcff", 'name = "a"\nname = "b"'])
def test_a_drop_in_that_is_no_toml_is_named(main_file, text):
    path = main_file.parent / "conf.d" / "10.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ShellError, match=r"conf\.d/10\.toml: not") as told:
        read_config(main_file)
    assert told.value.exit_status == 2


def test_there_may_be_so_many_and_no_more(main_file):
    for number in range(FILES_MAX):
        drop_in(main_file, f"{number:03}.toml", "")
    read_config(main_file)
    drop_in(main_file, "999.toml", "")
    with pytest.raises(ShellError, match=f"{FILES_MAX} at most"):
        read_config(main_file)


class Running:
    """A node, and the lines of its log as they come."""

    def __init__(self, config):
        command = [sys.executable, "-m", "node.shell.cli", "run", "--config", str(config)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def wait_for(self, words, limit_s=40.0):
        end = time.monotonic() + limit_s
        while not any(words in line for line in self.lines):
            assert time.monotonic() < end and self.process.poll() is None, self.lines
            time.sleep(0.05)
        self.lines = [line for line in self.lines if words not in line]


def test_a_running_node_refuses_a_bad_file_and_takes_a_good_one(main_file):
    node = Running(main_file)
    try:
        node.wait_for("ready")
        good = main_file.read_text()
        main_file.write_text(good.replace("sources_max = 3", 'sources_max = "many"'))
        node.process.send_signal(signal.SIGHUP)
        node.wait_for("receive.sources_max = 'many'")
        taken = free_port()
        main_file.write_text(good.replace("sources_max = 3", "sources_max = 2"))
        drop_in(main_file, "10.toml", '[mqtt]\nhost = "127.0.0.1"\nca_file = "/none.pem"\n')
        node.process.send_signal(signal.SIGHUP)
        node.wait_for("/none.pem")
        node.wait_for("ready")  # with the old one again
        drop_in(main_file, "10.toml", f'[receive]\nlisten = "127.0.0.1:{taken}"\n')
        node.process.send_signal(signal.SIGHUP)
        node.wait_for("is taken as soon as nothing sounds")
        node.wait_for("ready")
        node.process.terminate()
        assert node.process.wait(10) == 0
    finally:
        node.process.kill()
        node.process.wait()
        node.reader.join(5)
        node.process.stderr.close()
