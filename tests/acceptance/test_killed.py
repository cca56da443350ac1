"""A real process that dies of SIGKILL between the writes of an order: it acts once all the same."""

import signal
import time

import pytest

from node.control.trust.ahead import PREFIX
from node.shell.store.read import read_kept
from tests.acceptance.conftest import process
from tests.acceptance.killed_node import POINTS
from tests.acceptance.test_orders_over_broker import office  # noqa: F401


def kept_ahead(office) -> list[bytes]:  # noqa: F811
    """The orders that are on the disk and have not acted, as far as it says."""
    kept = read_kept(office.folder / "store.db")
    return [value for key, value in kept.items() if key.startswith(PREFIX) and value]


@pytest.mark.parametrize("point", POINTS)
def test_a_warning_at_whose_writes_the_process_is_killed_sounds_when_it_is_back_and_once(
    office,  # noqa: F811
    point,
):
    arguments = ("run", "--config", str(office.folder / "node.toml"), "--sink", "null")
    office.node = process("tests.acceptance.killed_node", point, *arguments)
    office.wait_for(": connected")
    office.certify()
    order = office.sign("alert", "--event", "FFW", "--class", "urgent")
    office.publish(order, wait_s=0.5)
    assert office.node.wait(20) == -signal.SIGKILL
    office.node.communicate()
    assert kept_ahead(office) == [order.read_bytes()]
    office.broker.stop()
    office.start(until="ready")
    end_s = time.monotonic() + 20
    while kept_ahead(office):
        assert time.monotonic() < end_s, "it does not act from the disk"
        time.sleep(0.1)
    office.broker.start()
    office.wait_for(": connected")  # and is given again, for nobody has acknowledged it
    office.certify()  # whose answer leaves after that to the warning
    status, told = office.publish(order)
    assert status == 1 and "coc-1: replayed" in told, told
    office.stop()
    assert len(office.bursts()) == 1, "it sounds, and once"
