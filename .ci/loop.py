"""A loop under the shipped unit: the real arecord, on a card of ALSA's own that needs no hardware.

```
 node ─► heard.wav.partial ─► air (20 dB softer, noise) ─► FIFO of group audio ─► arecord ─► node
                               └ the cable is cut: noise alone
```
The air (air.py) is a process on this side of the system that is booted.
"""

import json
import os
import subprocess
import time
from pathlib import Path

from system import NODE, TREE, WAV, Machine, Table, sounding, until, warned

MIC = "/srv/mic"
ALSA = f"""
pcm.mic {{
  type file
  slave.pcm {{ type null }}
  file /dev/null
  infile "{MIC}"
  format raw
}}
"""
LOOP = r"""
[control.alert.repeat]
normal = 1
priority = 1
urgent = 1
[loop]
device = "mic"
""".replace("\n", r"\n")
IDLE_S = 20
NAMED_S = 10.0
GONE = f"/etc/systemd/system/{NODE}.d/group.conf"


class Air:
    """Carries what the node plays to the microphone, until it is cut."""

    def __init__(self, root: Path) -> None:
        self._cut = root / "srv/cut"
        python = os.environ.get("PYTHON", str(TREE / ".venv/bin/python"))
        asked = [
            python,
            "-P",
            str(Path(__file__).with_name("air.py")),
            str(root / WAV[1:]),
            str(root / MIC[1:]),
            str(self._cut),
        ]
        self._process = subprocess.Popen(asked)

    def cut(self) -> None:
        """From now on the microphone hears the place alone."""
        self._cut.touch()

    def mend(self) -> None:
        """It is whole again."""
        self._cut.unlink()

    def close(self) -> None:
        """Nobody listens any more."""
        self._process.kill()
        self._process.wait()


def listened(machine: Machine, table: Table) -> None:
    """A warning that the microphone hears, one that it does not; the sandbox without its group."""
    machine.does("apt install alsa-utils", wait_s=300)
    (machine.root / "etc/asound.conf").write_text(ALSA)
    machine.does(f"mkfifo -m 640 {MIC} && chgrp audio {MIC}")
    air = Air(machine.root)
    try:
        machine.does("mkdir -p /var/lib/loalang/conf.d")
        machine.does(f"printf '{LOOP}' > /var/lib/loalang/conf.d/loop.toml")
        begun(machine)
        _idle(machine, table)
        _warned(machine, air, table)
        _without_group(machine, table)
    finally:
        air.close()
        machine.does(f"rm -f {GONE} /var/lib/loalang/conf.d/loop.toml /etc/asound.conf {MIC}")
        machine.does("adduser loalang audio && systemctl daemon-reload")
        begun(machine)


def begun(machine: Machine) -> None:
    """Start the unit anew, and wait for it."""
    machine.does(f"systemctl restart {NODE}")
    until(lambda: machine.shown("ActiveState") == "active", 30, machine.journal)


def _idle(machine: Machine, table: Table) -> None:
    recorder = until_recorder(machine)
    policy = machine.does(f"cat /proc/{recorder}/stat").rpartition(")")[2].split()[38]
    table.add("arecord's priority", "ordinary (0)", policy, good=policy == "0")
    for _ in range(10):
        time.sleep(5)
        before, heard_before = machine.cpu_s(), sounding(machine)
        time.sleep(IDLE_S)
        share = (machine.cpu_s() - before) / IDLE_S * 100
        if sounding(machine) == heard_before:  # the warning of before has had its repetitions
            break
    table.speed("processor with a loop, while a file is written", 1, share, "%")


def until_recorder(machine: Machine) -> str:
    """Wait for arecord; return its process."""
    group = f"/sys/fs/cgroup/*/system.slice/{NODE}/cgroup.procs"
    asked = f"for one in $(cat {group} | sort -u); do grep -l arecord /proc/$one/comm; done"
    found: list[str] = []

    def is_there() -> bool:
        found[:] = machine.does(f"({asked}) 2>/dev/null", fails=True).split()
        return bool(found)

    until(is_there, 10, machine.journal)
    return found[0].split("/")[2]


def _warned(machine: Machine, air: Air, table: Table) -> None:
    wanted = (("as it sounds", "played", "microphone, heard at "),
              ("the cable cut", "missed", "the microphone heard nothing of it"))  # fmt: skip
    for number, (what, outcome, by) in enumerate(wanted, start=21):
        name = f"#{number:016x}"
        if what == "the cable cut":
            air.cut()
        warned(machine, number, {"coc-1": machine})
        until(lambda name=name: name in records(machine), 180, machine.journal)
        found = records(machine)[name]
        told = f"{found['outcome']}: {found['heard_by']}"
        good = found["outcome"] == outcome and by in found["heard_by"]
        table.add(
            f"a warning by arecord under the unit, {what}", f"{outcome}: {by}", told, good=good
        )
    air.mend()


def _without_group(machine: Machine, table: Table) -> None:
    """Take the group from the unit and its user: who says so, and how soon."""
    machine.does(f"printf '[Service]\\nSupplementaryGroups=\\n' > {GONE}")
    machine.does("deluser loalang audio && systemctl daemon-reload")
    begun(machine)
    wanted = "must be in the group audio"
    for who in (f"systemctl show -p StatusText {NODE}", "loalang-node doctor --offline"):
        took_s = until(lambda who=who: wanted in machine.does(who, fails=True), 30, machine.journal)
        table.speed(f"without the group audio: named by {who.split()[0]}", NAMED_S, took_s)


def records(machine: Machine) -> dict[str, dict[str, str]]:
    """Return what the node has on record, by its name."""
    lines = machine.does("loalang-node proof").splitlines()
    found = [json.loads(one)["record"] for one in lines if one.startswith("{")]
    return {one["name"]: one for one in found}
