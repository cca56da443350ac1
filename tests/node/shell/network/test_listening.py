"""Where the node hears: own addresses, groups, interfaces, both families; real sockets on lo."""

import errno
import json
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from benchmarks.rig.rig_network import free_port
from node.config import ReceiveConfig
from node.shell.clocks import now_ns
from node.shell.network.udp import UdpSocket, receive_stamped, stamp_arrivals


def heard(udp, wait_s=0.5):
    """Return the datagrams that come within a moment, and from where."""
    end = time.monotonic() + wait_s
    got = []
    while time.monotonic() < end and not got:
        got += [(data, source) for data, source, _ in udp.received()]
        time.sleep(0.01)
    return got


def sent(data, address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(data, address)


def test_a_node_that_listens_to_both_families_names_ipv4_senders_as_they_are():
    port = free_port()
    udp = UdpSocket(ReceiveConfig(listen=f"[::]:{port}"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.sendto(b"four", ("127.0.0.1", port))
        ((data, source),) = heard(udp)
        assert (data, source) == (b"four", one.getsockname())
        udp.send(b"back", source)
        one.settimeout(1)
        assert one.recv(10) == b"back"
    assert udp.send_faults == 0
    udp.close()


def test_an_interface_keeps_the_others_out():
    port = free_port()
    udp = UdpSocket(ReceiveConfig(listen=f"0.0.0.0:{port}", interface="lo"))
    sent(b"by lo", ("127.0.0.1", port))
    assert [data for data, _ in heard(udp)] == [b"by lo"]
    udp.close()


IN_A_NAMESPACE = """
    import json, socket, subprocess, sys
    from node.config import ReceiveConfig
    from node.shell.network.udp import UdpSocket
    from node.shell.network.multicast import leave_by
    from tests.node.shell.network.test_listening import heard

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    ip("link", "set", "lo", "up")
    for a, b, net in (("a0", "a1", 1), ("b0", "b1", 2)):
        ip("link", "add", a, "type", "veth", "peer", "name", b)
        ip("address", "add", f"10.9.{net}.1/24", "dev", a)
        ip("address", "add", f"fd09:{net}::1/64", "dev", a, "nodad")
        ip("address", "add", f"10.9.{net}.2/24", "dev", b)
        ip("link", "set", a, "up"); ip("link", "set", b, "up")
    ip("route", "add", "224.0.0.0/4", "dev", "lo")

    def to_group(data, group, port, by):
        family = socket.AF_INET6 if ":" in group else socket.AF_INET
        one = socket.socket(family, socket.SOCK_DGRAM)
        leave_by(one, by)
        one.sendto(data, (group, port))

    def node(**of):
        return UdpSocket(ReceiveConfig(**of))

    seen = {}
    G, H, SIX = "239.192.7.1", "239.192.7.2", "ff05::7:1"
    for name, listen, group, interface, by in (
        ("wildcard", "0.0.0.0:5004", G, None, "lo"),
        ("by an own address", "10.9.1.1:5004", G, None, "a0"),
        ("by an interface", "0.0.0.0:5004", G, "a0", "a0"),
        ("by an address that sends", "0.0.0.0:5004", G, "a0", "10.9.1.1"),
        ("another interface", "0.0.0.0:5004", G, "b0", "a0"),
        ("another address", "10.9.2.1:5004", G, None, "a0"),
        ("six by an interface", "[::]:5004", SIX, "a0", "a0"),
        ("six by the default", "0.0.0.0:5004", SIX, "a0", "a0"),
        ("six by a zone", "[::]:5004", SIX + "%a0", None, "a0"),
        ("six by an own address", "[fd09:1::1]:5004", SIX, None, "fd09:1::1"),
        ("six another interface", "[::]:5004", SIX, "b0", "a0"),
    ):
        udp = node(listen=listen, multicast_group=group, interface=interface)
        to_group(b"x", group.partition("%")[0], 5004, by)
        seen[name] = len(heard(udp, 0.3))
        udp.close()
    for six, group, other in ((False, G, H), (True, SIX + "%a0", "ff05::7:2%a0")):
        wild = "[::]" if six else "0.0.0.0"
        one, two = (node(listen=f"{wild}:5004", multicast_group=g) for g in (group, other))
        to_group(b"x", group.partition("%")[0], 5004, "a0" if six else "lo")
        seen[f"two groups, six={six}"] = (len(heard(one, 0.3)), len(heard(two, 0.3)))
        for name, udp in (("first", one), ("second", two)):
            family = socket.AF_INET6 if six else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                here = "::1" if six else "127.0.0.1"
                sender.bind((here, 0))
                udp.send(b"request", sender.getsockname()[:2])
                sender.settimeout(1)
                _, source = sender.recvfrom(100)
                sender.sendto(b"answer", (here, source[1]))
            seen[f"answer to the {name}, six={six}"] = (len(heard(udp, 0.3)))
        one.close(); two.close()
    again = node(listen="0.0.0.0:5004", multicast_group=G, interface="b0")
    ip("address", "flush", "dev", "b0"); ip("link", "set", "b0", "down")
    ip("link", "set", "b0", "up"); ip("address", "add", "10.9.2.1/24", "dev", "b0")
    again.handle_deadline(10**12)
    to_group(b"x", G, 5004, "b0")
    seen["an interface that came back"] = len(heard(again, 0.3))
    print(json.dumps(seen))
"""


def test_groups_are_heard_on_the_chosen_interface_and_no_others_on_the_same_port():
    script = textwrap.dedent(IN_A_NAMESPACE)
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", script], capture_output=True, text=True
    )
    if "unshare" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"needs root and network namespaces: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen == {
        "wildcard": 1,
        "by an own address": 1,
        "by an interface": 1,
        "by an address that sends": 1,
        "another interface": 0,
        "another address": 0,
        "six by an interface": 1,
        "six by the default": 1,
        "six by a zone": 1,
        "six by an own address": 1,
        "six another interface": 0,
        "two groups, six=False": [1, 0],
        "answer to the first, six=False": 1,
        "answer to the second, six=False": 1,
        "two groups, six=True": [1, 0],
        "answer to the first, six=True": 1,
        "answer to the second, six=True": 1,
        "an interface that came back": 1,
    }


class OfAnEmulator(socket.socket):
    """A socket of a machine that stamps no arrivals, as qemu's emulation of a user's program."""

    def setsockopt(self, *_):
        raise OSError(errno.ENOPROTOOPT, "Protocol not available")


def test_where_nothing_stamps_arrivals_a_datagram_came_when_it_was_looked_for(caplog):
    with OfAnEmulator(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        stamp_arrivals(one)
        assert "no time stamps" in caplog.text
        sent(b"data", one.getsockname())
        before_ns = now_ns()
        data, _, arrival_ns = receive_stamped(one)
        assert data == b"data" and before_ns <= arrival_ns <= now_ns()
