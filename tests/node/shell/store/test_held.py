"""A service that takes a new configuration goes on with the store of the one before it."""

import os
import signal
import threading
import time

import pytest

from benchmarks.rig.rig_network import free_port
from node.shell.cli import main
from node.shell.store import store as module
from node.shell.store.disk import RealDisk
from node.shell.store.held import Held
from node.shell.store.read import read_kept
from node.shell.store.store import Store

LIMIT_S = 30.0


@pytest.fixture
def disk(monkeypatch):
    """Lets the disk stand still: every write waits until it is set."""
    goes_on = threading.Event()
    goes_on.set()
    for name in ("append", "replace"):
        real = getattr(RealDisk, name)

        def wait(self, *what, real=real):
            assert goes_on.wait(LIMIT_S)
            real(self, *what)

        monkeypatch.setattr(RealDisk, name, wait)
    yield goes_on
    goes_on.set()


def until(happened):
    end_s = time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_what_a_slow_disk_has_not_yet_is_there_for_the_next_service(disk, tmp_path):
    held, path = Held(), tmp_path / "kept.db"
    disk.clear()
    held.store(path).keep_soon({"counters": b"7"})
    store = held.store(path)
    assert store.kept() == {"counters": b"7"}
    number = store.keep_soon({"alerts": b"1"})
    disk.set()
    until(lambda: store.durable >= number)
    held.close()
    assert read_kept(path) == {"counters": b"7", "alerts": b"1"}


def test_another_path_is_another_store_and_the_one_that_is_left_lets_go(tmp_path):
    held, here, there = Held(), tmp_path / "kept.db", tmp_path / "other.db"
    held.store(here).keep_soon({"a": b"1"})
    other = held.store(there)
    assert other.kept() == {}
    held.close(but=other)
    assert held.store(there) is other
    alone = Store(here)
    alone.keep({"b": b"2"})
    alone.close()
    held.close()
    assert read_kept(here) == {"a": b"1", "b": b"2"}


def test_damage_is_told_by_the_service_that_found_it_alone(tmp_path):
    path = tmp_path / "kept.db"
    path.write_bytes(bytes(5000))
    held = Held()
    assert held.store(path).lost
    assert not held.store(path).lost
    held.close()


def test_a_store_that_was_closed_before_its_disk_was_done_lets_go_when_it_is(
    disk, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "CLOSE_WAIT_S", 0.05)
    path = tmp_path / "kept.db"
    disk.clear()
    first = Store(path)
    first.keep_soon({"a": b"1"})
    until(lambda: path.with_name("kept.db.lock").exists())
    first.close()
    disk.set()
    until(lambda: path.exists() and read_kept(path) == {"a": b"1"})
    second = Store(path)
    number = second.keep_soon({"b": b"2"})
    until(lambda: second.durable >= number)
    second.close()
    assert read_kept(path) == {"a": b"1", "b": b"2"}


def test_a_new_configuration_is_taken_while_the_disk_stands_still_and_nothing_is_lost(
    disk, tmp_path, caplog
):
    config, path = tmp_path / "node.toml", tmp_path / "kept.db"
    config.write_text(
        f'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n'
        f'[store]\npath = "{path}"\n[sink]\nkind = "null"\n'
        '[mqtt]\nhost = "127.0.0.1"\nport = 1\nvillage = "x"\n'
    )
    disk.clear()
    begins = []

    def ready():
        begins.append(sum(one == "ready" for one in caplog.messages))
        return begins[-1]

    def reload():
        until(lambda: ready() == 1)
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: ready() == 2)
        disk.set()
        os.kill(os.getpid(), signal.SIGTERM)

    by = threading.Thread(target=reload)
    by.start()
    with caplog.at_level("INFO"):
        assert main(["run", "--config", str(config), "--duration", "60"]) == 0
    by.join()
    assert begins[-1] == 2
    assert not [one for one in caplog.messages if "another process" in one]
    assert read_kept(path).keys() >= {"shell/seed", "shell/session"}
    assert Store(path).lost == ()
