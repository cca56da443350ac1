"""Over TLS to a real broker: what was deciphered before the loop looked again is taken too."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from node.shell.broker.connection import LinkLostError, Login
from node.shell.broker.paho_connection import connect
from node.shell.keys.floor_tls import judge_by
from tests.node.shell.keys.test_floor_tls import YEAR_S, Made

DAY_S = 86_400


@pytest.fixture
def broker():
    """mosquitto with a certificate that begins tomorrow; give its port, authority and process."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not Path(program).exists():
        assert not os.environ.get("CI"), "mosquitto is missing: apt install mosquitto"
        pytest.skip("mosquitto is missing: apt install mosquitto")
    now_s = int(time.time())
    ca = Made(now_s - YEAR_S, now_s + YEAR_S)
    server = Made(now_s + DAY_S, now_s + YEAR_S, ca, "localhost")
    # Started as root mosquitto becomes a user of its own, who does not read our folders.
    folder = Path(tempfile.mkdtemp(prefix="broker-"))
    folder.chmod(0o755)
    (folder / "ca.pem").write_bytes(ca.pem)
    (folder / "server.pem").write_bytes(server.pem)
    (folder / "server.key").write_bytes(server.key_pem)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    files = f"cafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
    conf = folder / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\n{files}allow_anonymous true\n")
    process = subprocess.Popen([program, "-c", str(conf)], stderr=subprocess.DEVNULL)
    yield port, ca, process
    process.terminate()
    process.wait(timeout=10)
    shutil.rmtree(folder)


async def opened(port: int, ca: Made, name: str, known: tuple[int, bool]):
    context = ssl.create_default_context(cadata=ca.pem.decode())
    judge_by(context, lambda: known)
    login = Login(host="localhost", port=port, identifier=name, tls=context, keepalive_s=2)
    for _ in range(50):
        try:
            return await connect(login)
        except LinkLostError as fault:
            if "Connection refused" not in str(fault):
                raise
            await asyncio.sleep(0.1)  # it has not started yet
    raise AssertionError("mosquitto did not start")


async def test_whatever_size_and_however_many_all_comes_in_its_order_and_the_end_is_told(broker):
    port, ca, process = broker
    hears, speaks = [await opened(port, ca, name, (0, False)) for name in ("hears", "speaks")]
    assert await hears.subscribe(["x/#"]) == [1]
    sizes = (1, 250_000, 65_536, 17, 250_000)
    sent = [bytes([at]) * size for at, size in enumerate(sizes)] + [b"%d" % n for n in range(40)]
    codes = [speaks.publish("x/y", one, quality=1, retain=False) for one in sent]
    for one in sent:
        message = await asyncio.wait_for(hears.receive(), 30)
        hears.acknowledge(message)
        assert message.payload == one
    assert set(await asyncio.gather(*codes)) == {0}
    await asyncio.sleep(3.5)  # nothing is said for longer than the keep-alive: PINGREQ
    speaks.publish("x/y", b"still there", quality=1, retain=False)
    assert (await asyncio.wait_for(hears.receive(), 30)).payload == b"still there"
    await speaks.close()
    process.terminate()
    with pytest.raises(LinkLostError):
        await asyncio.wait_for(hears.receive(), 30)
    hears.abort()


# A broker that never stops: each record of TLS ends within a packet, so that something is always
# deciphered already.
FLOOD = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/server.pem", sys.argv[1] + "/server.key")
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    one = context.wrap_socket(server.accept()[0], server_side=True)
    one.recv(4096)
    one.sendall(bytes([0x20, 3, 0, 0, 0]))  # CONNACK
    packet = bytes([0x30, 103, 0, 1]) + b"x" + bytes([0]) + bytes(99)  # PUBLISH, quality 0
    many = packet * 10_000
    try:
        while True:
            one.sendall(many)
    except OSError:
        pass
"""


async def test_a_broker_that_never_stops_leaves_the_loop_its_turns(tmp_path):
    now_s = int(time.time())
    ca = Made(now_s - YEAR_S, now_s + YEAR_S)
    server = Made(now_s - DAY_S, now_s + YEAR_S, ca, "localhost")
    (tmp_path / "server.pem").write_bytes(server.pem)
    (tmp_path / "server.key").write_bytes(server.key_pem)
    process = subprocess.Popen(
        [sys.executable, "-c", FLOOD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(process.stdout.readline())
        connection = await opened(port, ca, "flooded", (now_s, True))
        loop = asyncio.get_running_loop()
        begun_s, turns = loop.time(), 0
        while loop.time() < begun_s + 1.0:
            await asyncio.sleep(0)
            turns += 1
        connection.abort()
    finally:
        process.kill()
        process.communicate(timeout=10)
    assert loop.time() < begun_s + 2.0
    assert turns >= 100


async def test_who_knows_the_time_is_not_let_to_a_broker_of_tomorrow(broker):
    port, ca, _ = broker
    with pytest.raises(LinkLostError, match="not yet valid"):
        await opened(port, ca, "early", (int(time.time()), True))
