"""The pipelines that engineers copy, and our own: valid, and their commands do what they say."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmarks.options import measurements
from benchmarks.verdict.formats import files
from benchmarks.verdict.outcome import Outcome

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "schema"),
    [("github.yml", "vendor.github-workflows"), ("gitlab.yml", "vendor.gitlab-ci")],
)
def test_the_pipelines_that_engineers_copy_are_valid(name, schema):
    path = ROOT / "docs" / "ci" / name
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_pipelines_keep_the_kernels_run_the_gate_keep_its_files_and_comment(name):
    text = (ROOT / "docs" / "ci" / name).read_text()
    told = text.partition("night:")[0]
    for part in (".venv", "python3 run.py bench", "out/benchmarks/", "gate.comment.md", "gate.md"):
        assert part in told, part
    nothing = Outcome(length="fast", measured={}, budgets={}, breaches=(), changes=(), base="")
    written = set(files(nothing, {}, "b"))
    assert set(re.findall(r"gate\.[a-z.]*[a-z]", text)) <= written


def commands(name):
    """Return the shell lines of the job `gate` of a pipeline."""
    job = YAML(typ="safe").load(ROOT / "docs" / "ci" / name)
    if name == "gitlab.yml":
        return job["gate"]["script"]
    return [step["run"] for step in job["jobs"]["gate"]["steps"] if "run" in step]


def test_the_pipelines_run_what_our_own_ci_runs():
    ours = (ROOT / ".ci" / "run").read_text()
    for name in ("github.yml", "gitlab.yml"):
        # Beside it, what a request is compared with.
        told = [re.sub(r" \$\{\w+:\+.*\}$", "", line.strip()) for line in commands(name)]
        told = [line for line in told if line.startswith("python3 run.py")]
        assert told == [f"python3 run.py {one}" for one in ("test", "lint", "bench gate --fast")]
        assert all(f"{command}\n" in ours or f"{command} " in ours for command in told)
        text = (ROOT / "docs" / "ci" / name).read_text()
        assert set(re.findall(r"\.ci/\w+", text)) == {".ci/slow"}


def git(folder, *command):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *command], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def forge(tmp_path):
    """Return a clone as a job has it: a branch left `main` long ago, and `main` went on."""
    origin, clone, programs = (tmp_path / one for one in ("origin", "clone", "programs"))
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    for branch, text in (("main", "old"), ("change", "changed"), ("main", "moved on")):
        git(origin, "checkout", "-qB", branch, *(["HEAD~0"] if branch == "change" else []))
        if text == "moved on":
            git(origin, "reset", "-q", "--hard", "change~1")
        (origin / text.replace(" ", "_")).write_text(text)
        git(origin, "add", ".")
        git(origin, "commit", "-qm", text)
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    programs.mkdir()
    said = programs / "python3"
    said.write_text('#!/bin/sh\nfor one; do printf "%s\\n" "$one"; done\n')
    said.chmod(0o755)
    return clone


def asked_of_the_gate(name, clone, **variables):
    """Return the arguments with which a pipeline runs the gate in `clone`."""
    wanted = [one for one in commands(name) if one.startswith("git ") or " bench " in one]
    path = f"{clone.parent / 'programs'}:{os.environ['PATH']}"
    bare = {key: value for key, value in os.environ.items() if not key.startswith(("CI", "GITHUB"))}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(wanted)],
        cwd=clone,
        env=bare | variables | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


PLAIN = ["run.py", "bench", "gate", "--fast"]


def test_a_pull_request_at_github_is_compared_with_the_target_that_it_is_merged_into(forge):
    git(forge, "checkout", "-q", "--detach", "origin/main")
    git(forge, "merge", "-q", "--no-ff", "-m", "as the forge merges it", "origin/change")
    asked = asked_of_the_gate("github.yml", forge, GITHUB_BASE_REF="main")
    assert asked == [*PLAIN, "--against", git(forge, "rev-parse", "origin/main")]


@pytest.mark.parametrize("merged", [False, True], ids=["branch alone", "merged result"])
def test_a_merge_request_at_gitlab_is_compared_with_what_it_has_of_its_target(forge, merged):
    git(forge, "checkout", "-q", "--detach", "origin/change")
    if merged:
        git(forge, "merge", "-q", "--no-ff", "-m", "as the forge merges it", "origin/main")
    asked = asked_of_the_gate("gitlab.yml", forge, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")
    base = git(forge, "rev-parse", "origin/main" if merged else "origin/main~1")
    assert asked == [*PLAIN, "--against", base]


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_what_is_pushed_is_compared_with_what_it_records(name, forge):
    assert asked_of_the_gate(name, forge) == PLAIN


@pytest.mark.parametrize(
    ("name", "variable"),
    [("github.yml", "GITHUB_BASE_REF"), ("gitlab.yml", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")],
)
def test_no_name_of_a_branch_is_run_as_a_command(name, variable, forge):
    odd = "a$(touch${IFS}run)`touch${IFS}run`;&"
    git(forge.parent / "origin", "branch", odd, "main")
    git(forge, "fetch", "-q")
    asked = asked_of_the_gate(name, forge, **{variable: odd})
    assert asked == [*PLAIN, "--against", git(forge, "rev-parse", "origin/main")]
    assert not (forge / "run").exists()


def test_each_command_of_the_nightly_part_is_one_that_can_be_given(capsys):
    slow = (ROOT / ".ci" / "slow").read_text()
    slow = re.sub(r'"\$\{\w+:-(\w+)\}"', r"\1", slow)
    asked = re.findall(r"python3 run\.py bench ([^\n]+)", slow)
    assert len(asked) == 7
    for line in asked:
        name, *options = line.split()
        module = importlib.import_module(measurements()[name])
        with pytest.raises(SystemExit) as ended:
            module.run([*options, "--help"])
        assert ended.value.code == 0
        known = capsys.readouterr().out
        assert all(one in known for one in options if one.startswith("--"))
    chosen = re.findall(r"--row ('[^']+'|\w+)", (ROOT / ".ci" / "aarch64").read_text())
    recorded = json.loads((ROOT / "benchmarks" / "figures.json").read_text())["fast"]
    have = [{name for name, rows in recorded.items() if row.strip("'") in rows} for row in chosen]
    assert all(have)
    assert set().union(*have) == set(recorded), "of each measurement a row"
    for script in ("slow", "aarch64", "run", "numbas", "library", "emulated"):
        path = ROOT / ".ci" / script
        assert subprocess.run(["bash", "-n", str(path)]).returncode == 0
        assert path.stat().st_mode & 0o100, f"{script} can be run"
