"""A real sender tells of itself before its sound, and answers who asks."""

import socket
import time

import pytest

from node.config import NodeConfig
from node.peers.question import Reception
from node.peers.sender import new_reports
from node.rtp import rtcp
from node.rtp.rtcp_packet import SenderReport

from .conftest import process


@pytest.mark.real_time
def test_a_sender_is_known_and_answers_before_its_first_packet(speech_wav):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.bind(("127.0.0.1", 0))
        node.settimeout(20)
        to = f"127.0.0.1:{node.getsockname()[1]}"
        sender = process("sim.sender.cli", str(speech_wav), "--to", to, "--lead", "1")
        ahead, reports = 0, None
        try:
            while True:
                data, address = node.recvfrom(2048)
                now_ns = time.monotonic_ns()
                packets = rtcp.parse(data)
                if packets is None:
                    break  # sound
                (told,) = [one for one in packets if isinstance(one, SenderReport)]
                ahead += told.packets == 0
                reports = reports or new_reports(NodeConfig(name="n"), told.ssrc, now_ns)
                reports.credit.earn(len(data))
                reports.receive(packets, None, told.rtp_timestamp, now_ns)
                reports.handle_deadline(now_ns)
                question = reports.next_compound(Reception(0, 0, 0), None, now_ns)
                if question is not None:
                    node.sendto(question, address)
        finally:
            sender.kill()
            sender.communicate()
    assert ahead >= 8
    estimate = reports.estimate(now_ns) if reports else None
    assert estimate is not None and abs(estimate.offset_ns) < 20_000_000  # one machine, one clock
