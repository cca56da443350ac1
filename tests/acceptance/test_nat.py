"""A node behind a real NAT, the kernel's, in namespaces: it joins, stays, and is found again.

```
 station 203.0.113.1 ── out │ nat 203.0.113.7, later .99 │ in ── 10.0.0.2 node
```
The station is `loalang-send --serve`; the node's half is `node.peers.joining` on a real socket.
Needs root, iproute2 and nftables.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from .conftest import SPEECH

NODE = """
    import json, os, socket, sys, time
    from node.peers.joining import Joining, Station
    from node.rtp.join_packet import is_join
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("10.0.0.2", 5004))
    one.settimeout(0.02)
    key = open(sys.argv[1], "rb").read()
    now = time.monotonic_ns
    node = Joining("pole", Station("203.0.113.1", 5004, key), secret=os.urandom(32), now_ns=now())
    begin, heard = now(), []
    while now() - begin < float(sys.argv[2]) * 1e9:
        node.handle_deadline(now())
        while (out := node.next_event()) is not None:
            one.sendto(*out)
        try:
            data, source = one.recvfrom(2048)
        except (TimeoutError, OSError):
            continue
        if is_join(data):
            node.receive_datagram(data, source, now())
        else:
            node.receive_stream(now())
            if not 192 <= data[1] <= 223:
                heard.append(now())
    print(json.dumps({"begin": begin, "heard": heard, "welcomes": node.welcomes}))
"""


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True)


@pytest.fixture
def nat(request):
    """Three namespaces and a NAT between; skips where that cannot be made."""
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{program} is missing: apt install {package}")
            pytest.skip(f"{program} is missing: apt install {package}")
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    names = [f"loa-{os.getpid()}-{part}" for part in ("station", "nat", "node")]
    station, middle, node = names
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "wan0", "netns", station, "type", "veth", "peer", "out0", "netns", middle)
        ip("link", "add", "in0", "netns", middle, "type", "veth", "peer", "eth0", "netns", node)
        for name, device, address in (
            (station, "wan0", "203.0.113.1/24"), (middle, "out0", "203.0.113.7/24"),
            (middle, "in0", "10.0.0.1/24"), (node, "eth0", "10.0.0.2/24"),
        ):  # fmt: skip
            ip("-n", name, "address", "add", address, "dev", device)
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", node, "route", "add", "default", "via", "10.0.0.1")
        random = " random,fully-random" if request.param == "symmetric" else ""
        rules = (
            "table ip nat {\nchain post {\ntype nat hook postrouting priority 100;\n"
            f'oifname "out0" masquerade{random};\n}}\n}}'
        )
        sysctl = (
            "echo 1 > /proc/sys/net/ipv4/ip_forward; "
            "for t in udp_timeout udp_timeout_stream; do "
            "echo 30 > /proc/sys/net/netfilter/nf_conntrack_$t; done"
        )
        done = subprocess.run(
            ["ip", "netns", "exec", middle, "sh", "-ec", f"{sysctl}\nexec nft -f -"],
            input=rules + "\n", capture_output=True, text=True,
        )  # fmt: skip
        assert "syntax error" not in done.stderr, done.stderr
        if done.returncode:
            pytest.skip(f"this kernel has no NAT: {done.stderr.strip()}")
        yield names
    except subprocess.CalledProcessError as fault:
        pytest.skip(f"no namespaces here: {fault.stderr.strip()}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.parametrize("nat", ["port-restricted", "symmetric"], indirect=True)
def test_a_node_behind_a_nat_that_gets_another_address_has_its_sound_back_in_two_seconds(
    nat, tmp_path
):
    station, middle, node = nat
    key = tmp_path / "key"
    key.write_bytes(os.urandom(32))
    sender = subprocess.Popen(
        ["ip", "netns", "exec", station, sys.executable, "-m", "sim.sender.cli", str(SPEECH),
         "--serve", "203.0.113.1:5004", "--join-key", str(key), "--loop", "--lead", "0",
         "--announce"], stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in sender.stderr:
        if "first packet" in line:
            break
    one = subprocess.Popen(
        ["ip", "netns", "exec", node, sys.executable, "-c", textwrap.dedent(NODE), str(key), "50"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        one.wait(timeout=42)
    except subprocess.TimeoutExpired:
        for what, address in (("del", "203.0.113.7/24"), ("add", "203.0.113.99/24")):
            ip("-n", middle, "address", what, address, "dev", "out0")
    out, _ = one.communicate(timeout=60)
    sender.terminate()
    sender.communicate(timeout=60)
    told = json.loads(out)
    heard = told["heard"]
    assert heard[0] - told["begin"] <= 1_500_000_000
    gaps_s = sorted((b - a) / 1e9 for a, b in itertools.pairwise(heard))
    assert gaps_s[-1] <= 2.0, "the new address"
    assert gaps_s[-2] <= 0.6, "and no lease of 30 s that ran out"
    assert gaps_s[-1] >= 0.3, "else nothing had changed"
