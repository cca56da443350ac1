"""The page: what it says, and that nobody who asks slowly or often can slow the node."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.shell.faults import ShellError
from node.shell.figures import prometheus_text
from node.shell.page import CONNECTIONS_MAX, QUESTION_BYTES_MAX, Page

STATUS = {
    "playing": 7,
    "sources": [{"ssrc": 7, "played_ms": {"received": 1000, "concealed": 20}}],
    "counts": {"packets_received": 50},
    "control": {"clock_trusted": True, "proof_number": 3},
    "shell": {
        "state": "degraded",
        "why": ('store: the disk is "full"',),
        "periods": 12_345_678_901,
        "underruns": 2,
        "broker": {"connected": True, "reconnects": 0, "waiting": 1, "dropped": 0},
        "loop": {"kind": "microphone", "verdicts": 12, "losses": 1},
    },
}
LABEL = r'\w+="(\\.|[^"\\\n])*"'
LINE = re.compile(
    r"^(# (HELP|TYPE) loalang_\w+ .+"
    rf"|loalang_\w+(\{{{LABEL}(,{LABEL})*\}})? -?[0-9.e+]+)$"
)


class Asked:
    """A page whose status counts how often it was asked for."""

    def __init__(self):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.times = 0
        self.page = Page("127.0.0.1", self.port, self.status)

    def status(self):
        self.times += 1
        return STATUS

    async def get(self, question):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(question)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return head.split(b"\r\n")[0], body


@pytest.fixture
async def asked():
    one = Asked()
    await one.page.start()
    yield one
    one.page.close()


async def test_the_page_the_status_and_the_figures_are_there_and_nothing_else(asked):
    head, body = await asked.get(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"200" in head and b"degraded" in body and b"the disk is" in body
    _, body = await asked.get(b"GET /status.json HTTP/1.0\r\n\r\n")
    assert json.loads(body)["playing"] == 7
    _, body = await asked.get(b"GET /metrics HTTP/1.1\r\n\r\n")
    lines = body.decode().splitlines()
    assert all(LINE.match(line) for line in lines), lines
    assert 'loalang_state{state="degraded"} 1' in lines
    assert "loalang_periods_total 12345678901" in lines
    assert "loalang_loop_verdicts_total 12" in lines
    assert "loalang_loop_losses_total 1" in lines
    assert asked.times == 1, "the status is asked for once a second"
    assert b"404" in (await asked.get(b"GET /etc/passwd HTTP/1.1\r\n\r\n"))[0]
    assert b"405" in (await asked.get(b"POST / HTTP/1.1\r\n\r\n"))[0]
    head, body = await asked.get(b"HEAD / HTTP/1.1\r\n\r\n")
    assert b"200" in head and body == b""


async def test_whoever_is_slow_or_too_many_is_cut_off_and_the_others_are_served(asked, monkeypatch):
    monkeypatch.setattr("node.shell.page.ANSWER_S", 0.5)
    slow = [
        await asyncio.open_connection("127.0.0.1", asked.port) for _ in range(CONNECTIONS_MAX + 2)
    ]
    for _, writer in slow:
        writer.write(b"GET / HT")
    await asyncio.sleep(0.1)
    ends = [asyncio.wait_for(reader.read(), 5) for reader, _ in slow]
    said = await asyncio.gather(*ends, return_exceptions=True)
    assert all(one == b"" or isinstance(one, ConnectionError) for one in said)
    assert asked.page.refused == CONNECTIONS_MAX + 2
    for _, writer in slow:
        writer.close()
    assert b"200" in (await asked.get(b"GET / HTTP/1.1\r\n\r\n"))[0]


@pytest.mark.parametrize(
    "question", [b"\r\n\r\n", b"\xff" * 50 + b"\r\n\r\n", b"GET / " + bytes(QUESTION_BYTES_MAX * 2)]
)
async def test_nonsense_gets_a_refusal_and_does_no_harm(asked, question):
    try:
        head, _ = await asked.get(question)
    except ConnectionError:
        head = b"405"
    assert b"405" in head or head == b""
    assert b"200" in (await asked.get(b"GET / HTTP/1.1\r\n\r\n"))[0]


async def test_a_port_that_is_taken_is_named(asked):
    with pytest.raises(ShellError, match=rf"page = 127.0.0.1:{asked.port}: the port is in use"):
        await Page("127.0.0.1", asked.port, dict).start()


@given(st.lists(st.text(max_size=30), max_size=5), st.integers(0, 1 << 62))
def test_figures_are_well_formed_whatever_ails_the_node(why, count):
    status = STATUS | {"shell": STATUS["shell"] | {"why": tuple(why), "periods": count}}
    text = prometheus_text(status)
    assert all(LINE.match(line) for line in text.removesuffix("\n").split("\n"))


@pytest.mark.parametrize("status", ["whole", "starting"])
def test_prometheus_own_checker_has_nothing_to_say_against_the_figures(status):
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing: apt install prometheus")
        pytest.skip("promtool is missing: apt install prometheus")
    told = STATUS
    if status == "starting":
        shell = {"state": "starting", "why": ('a "fault": \\ and\nmore',)}
        told = {"playing": None, "sources": [], "counts": {}, "shell": shell}
    done = subprocess.run(
        [program, "check", "metrics"], input=prometheus_text(told), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
