"""What tests of pages share: a real browser."""

import contextlib
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def browse(tmp_path, in_ci):
    """Return a function that loads a page in a browser: its DOM, and what the browser logged."""
    if CHROMIUM is None:
        if in_ci:
            pytest.fail("chromium is missing: apt-get install chromium")
        pytest.skip("no chromium here: apt-get install chromium")

    def load(path, *more, real_time=False):
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--window-size=1200,900",
        ]
        if not real_time:
            options.append("--virtual-time-budget=3000")
        done = subprocess.run(
            [
                CHROMIUM,
                *options,
                *more,
                f"--user-data-dir={tmp_path}/p",
                "--dump-dom",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            env=dict(os.environ, HOME=str(tmp_path)),
        )
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return load


class Held(BaseHTTPRequestHandler):
    """Answers `/held` when somebody has asked for `/told`, and not before."""

    def do_GET(self):
        if self.path == "/told":
            self.server.told.set()
        else:
            self.server.told.wait(60)
        with contextlib.suppress(OSError):
            self.send_response(204)
            self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def until_told():
    """Return an address: a page with its `/held` as a picture is loaded once it asks for `/told`.

    So the browser's own time passes meanwhile, which the sound of a page needs: in virtual time
    three seconds of waiting may be over before the sound has begun.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Held)
    server.told = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.told.set()
    server.shutdown()
    server.server_close()
