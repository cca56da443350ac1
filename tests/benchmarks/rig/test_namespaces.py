"""Places joined by the relay: real addresses, real MTU, and only so bad as told."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.rig.namespaces import NamespaceError, require

pytestmark = pytest.mark.real_time

ADDRESSES = {"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.0.3"}

SPEAK = """
import socket, sys, time
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("0.0.0.0", 5004))
for number in range(int(sys.argv[2])):
    one.sendto(b"%d %d" % (number, time.monotonic_ns()), (sys.argv[1], 5004))
    time.sleep(0.002)
"""

LISTEN = """
import socket, struct, sys, time
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("0.0.0.0", 5004))
if sys.argv[1] != "-":
    group = socket.inet_aton(sys.argv[1]) + socket.inet_aton("0.0.0.0")
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
print("listening", flush=True)
one.settimeout(2)
try:
    while True:
        data, source = one.recvfrom(4096)
        now = time.monotonic_ns()
        number, sent = data.split()
        print(int(number), (now - int(sent)) / 1e6, source[0], flush=True)
        one.settimeout(0.5)
except TimeoutError:
    pass
"""


@pytest.fixture(scope="module", autouse=True)
def _may_have_namespaces():
    try:
        require()
    except NamespaceError as fault:
        pytest.skip(f"NOT TESTED, the network of namespaces: {fault}")


@contextlib.contextmanager
def places(*options):
    command = [sys.executable, "-m", "benchmarks.rig.namespaces", *options]
    command += [f"--place={name}={address}" for name, address in ADDRESSES.items()]
    one = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield one, json.loads(one.stdout.readline())["enter"]
    finally:
        one.terminate()
        one.communicate(timeout=10)


def heard(enter, to, *, at=("b",), packets=500, group="-"):
    """Return what each place heard of what `a` says: rows of number, delay in ms, source."""
    listeners = [
        subprocess.Popen(
            [*enter[one], sys.executable, "-c", LISTEN, group], stdout=subprocess.PIPE, text=True
        )
        for one in at
    ]
    for one in listeners:
        assert one.stdout.readline() == "listening\n"
    subprocess.run([*enter["a"], sys.executable, "-c", SPEAK, to, str(packets)], check=True)
    rows = []
    for one in listeners:
        lines, _ = one.communicate(timeout=20)
        rows.append([(int(n), float(ms), ip) for n, ms, ip in map(str.split, lines.splitlines())])
    return rows


def interfaces():
    return sorted(os.listdir("/sys/class/net"))


def within(enter, *command):
    return subprocess.run([*enter, *command], capture_output=True, text=True, check=True).stdout


def test_packets_are_late_and_lost_as_told_and_never_overtake():
    with places("--delay-ms=40", "--jitter-ms=20", "--loss-pct=10", "--seed=3") as (_, enter):
        [rows] = heard(enter, ADDRESSES["b"])
    delays_ms = sorted(row[1] for row in rows)
    assert len(rows) == pytest.approx(450, abs=30)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert 20 <= delays_ms[0] < 45
    # In order each waits for the latest before it: 2 ms apart, hardly one is below the mean.
    assert 45 < delays_ms[len(rows) // 2] < 70
    assert {row[2] for row in rows} == {ADDRESSES["a"]}


def test_packets_overtake_where_asked_and_the_delay_is_spread_evenly():
    with places("--delay-ms=40", "--jitter-ms=20", "--reorder") as (_, enter):
        [rows] = heard(enter, ADDRESSES["b"])
    assert [row[0] for row in rows] != sorted(row[0] for row in rows)
    assert len(rows) == 500
    assert sorted(row[1] for row in rows)[250] == pytest.approx(40, abs=8)


def test_a_group_is_heard_at_every_other_place():
    with places("--delay-ms=5") as (_, enter):
        rows = heard(enter, "239.192.7.1", at=("b", "c"), packets=100, group="239.192.7.1")
    assert [len(one) for one in rows] == [100, 100]


def test_an_outage_loses_everything_until_it_ends():
    with places() as (one, enter):
        one.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        assert heard(enter, ADDRESSES["b"], packets=20) == [[]]
        one.send_signal(signal.SIGUSR2)
        time.sleep(0.2)
        assert len(heard(enter, ADDRESSES["b"], packets=20)[0]) == 20


def test_a_place_has_its_own_address_and_mtu_and_no_way_to_the_machine():
    with places("--mtu=1400") as (_, enter):
        told = within(enter["b"], "ip", "-4", "addr")
        routes = within(enter["b"], "ip", "route")
    assert "10.77.0.2/24" in told and "mtu 1400" in told
    assert "default" not in routes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_is_ended_no_interface_is_left_and_the_machines_are_as_before(number):
    before = interfaces()
    with places() as (one, enter):
        place = Path(enter["b"][1].removeprefix("--net="))
        inode = place.stat().st_ino
        stays = subprocess.Popen([*enter["b"], "sleep", "60"])
        until = time.monotonic() + 5
        while Path(f"/proc/{stays.pid}/ns/net").stat().st_ino != inode:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert "tun0" in within(enter["b"], "ip", "link")
        one.send_signal(number)
        one.wait(timeout=10)
    if number == signal.SIGKILL:
        # Nobody could end the guest, but its interface went with the relay.
        left = within(["nsenter", f"--net=/proc/{stays.pid}/ns/net"], "ip", "link")
        assert "tun0" not in left
        stays.kill()
    assert stays.wait(timeout=10) == -signal.SIGKILL
    assert not [one for one in _namespaces_in_use() if one == inode]
    assert interfaces() == before


def test_it_ends_with_who_started_it():
    starter = (
        "import subprocess, sys\n"
        "one = subprocess.Popen([sys.executable, '-m', 'benchmarks.rig.namespaces', '--place',"
        " 'a=10.77.0.1', '--with-parent'], stdout=subprocess.PIPE, text=True)\n"
        "print(one.pid, one.stdout.readline(), flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline().split()[0])
    parent.kill()
    parent.communicate(timeout=5)
    until = time.monotonic() + 5
    while _runs(pid):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_cannot_be_is_told_with_exit_status_2():
    command = [
        sys.executable,
        "-m",
        "benchmarks.rig.namespaces",
        "--place",
        "a=10.77.0.1",
        "--place",
        "b=10.78.0.1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "of one /24" in done.stderr


def test_without_root_it_says_so_with_exit_status_2():
    command = [sys.executable, "-m", "benchmarks.rig.namespaces", "--place", "a=10.77.0.1"]
    dropped = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *command]
    done = subprocess.run(dropped, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "need root" in done.stderr


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _namespaces_in_use():
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                yield os.stat(f"/proc/{entry}/ns/net").st_ino
