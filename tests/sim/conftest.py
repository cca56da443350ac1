"""What tests of pages share: a real browser."""

import os
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def browse(tmp_path, in_ci):
    """Return a function that loads a page in a browser: its DOM, and what the browser logged."""
    if CHROMIUM is None:
        if in_ci:
            pytest.fail("chromium is missing: apt-get install chromium")
        pytest.skip("no chromium here: apt-get install chromium")

    def load(path, *more):
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
            "--window-size=1200,900",
        ]
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
