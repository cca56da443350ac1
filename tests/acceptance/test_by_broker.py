"""Where no datagram comes through: the same packets over the MQTT session, by a real broker."""

import os
import signal
import time

import numpy as np

from tests.node.shell.broker.test_broker import broker  # noqa: F401

from .conftest import SPEECH, free_port, process, read_wav


def test_a_node_that_no_datagram_reaches_hears_the_programme_by_its_broker(
    start_node,
    tmp_path,
    broker,  # noqa: F811
):
    key, port = tmp_path / "join.key", free_port()
    key.write_bytes(os.urandom(32))
    sender = process(
        "sim.sender.cli", str(SPEECH), "--serve", f"127.0.0.1:{port}", "--join-key", str(key),
        "--broker", f"127.0.0.1:{broker.port}", "--lead", "0", "--loop",
        "--announce",
    )  # fmt: skip
    for line in sender.stderr:
        if "first packet" in line:
            break
    node = start_node(
        receive=f'join = "127.0.0.1:{free_port()}"\njoin_key_file = "{key}"\n'  # nobody is there
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n',
    )
    time.sleep(12)
    status = node.stop()
    sender.send_signal(signal.SIGTERM)
    _, err = sender.communicate(timeout=60)
    assert sender.returncode == 0, err
    (joined,) = status["joined"]
    assert joined["joined"] and joined["by_broker"]
    (source,) = status["sources"]
    assert source["uncertainty_ms"] is not None, "the clock exchange came on the same path"
    sound = read_wav(node.wav)
    loud = np.abs(sound[: len(sound) // 4800 * 4800].reshape(-1, 4800)).max(axis=1) > 0.01
    assert loud.sum() >= 40, (err, status["counts"])
