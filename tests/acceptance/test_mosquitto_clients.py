"""What somebody else's programs see and may do: mosquitto_sub and mosquitto_pub, with TLS."""

import json
import subprocess
import time

from node.shell.cli import main as node_main
from tests.acceptance.commune import AREA, Commune
from tests.acceptance.conftest import need

ROOT = "pa/v1/huu-lien/node/coc-1"


class Clients:
    """The two programs with the office's identity."""

    def __init__(self, commune: Commune, folder) -> None:
        self._sub, self._pub = (need(one, "mosquitto-clients") for one in SUB_PUB)
        office = commune.station / "office.pem"
        self._asked = ["-V", "5", "-h", "127.0.0.1", "-p", str(commune.port), "--insecure"]
        self._asked += ["--cafile", str(folder / "ca.pem"), "--cert", str(office)]
        self._asked += ["--key", str(office.with_suffix(".key"))]

    def first(self, topic: str) -> bytes:
        """Return the first message that comes."""
        asked = [self._sub, *self._asked, "-C", "1", "-W", "30", "-t", topic]
        return subprocess.run(asked, capture_output=True, check=True, timeout=40).stdout.rstrip()

    def subscribe(self, topic: str) -> "subprocess.Popen[bytes]":
        """Wait for one message."""
        asked = [self._sub, *self._asked, "-C", "1", "-W", "30", "-t", topic]
        waiting = subprocess.Popen(asked, stdout=subprocess.PIPE)
        time.sleep(1)
        return waiting

    def publish(self, topic: str, *what: str) -> None:
        """Send a message of quality 1."""
        asked = [self._pub, *self._asked, "-q", "1", "-t", topic, *what]
        subprocess.run(asked, check=True, timeout=20)


SUB_PUB = ("mosquitto_sub", "mosquitto_pub")


def test_mosquittos_own_clients_read_a_node_and_carry_a_signed_order_to_it(commune, tmp_path):
    commune.sound()
    folder = commune.gateway("gateway")
    commune.enrol(folder, "coc-1")
    node = commune.run(folder)
    clients = Clients(commune, folder)
    state = json.loads(clients.first(f"{ROOT}/state"))
    assert (state["state"], state["homie"]) == ("ready", "ready")
    asked = clients.subscribe(f"{ROOT}/metric")
    clients.publish(f"{ROOT}/cmd", "-m", "status")
    assert json.loads(asked.communicate(timeout=40)[0])["name"] == "coc-1"

    order = tmp_path / "order.bin"
    keys = ["--key", str(commune.station / "commune.key"), "--area", AREA]
    assert node_main(["order", "alert", "--event", "FFW", *keys, "--out", str(order)]) == 0
    forged = tmp_path / "forged.bin"
    signed = order.read_bytes()
    forged.write_bytes(signed[:-1] + bytes([signed[-1] ^ 1]))
    answer = clients.subscribe(f"{ROOT}/acknowledgement")
    clients.publish(f"{ROOT}/cmd", "-f", str(forged))
    clients.publish(f"{ROOT}/cmd", "-f", str(order))
    assert b"waiting" in answer.communicate(timeout=40)[0], "the first answer is to the order"
    node.terminate()
    node.communicate(timeout=60)
