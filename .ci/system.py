"""A fresh Debian 12 that boots a systemd of its own in namespaces, and what is typed there.

For .ci/boot and .ci/nat. What the package and a broker need is fetched beforehand: the system has a
network of its own with nothing in it. Of an architecture that is not this machine's it runs by
qemu-user, once its binary format is registered (.ci/aarch64 does that).
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memory import Memory

TREE = Path(__file__).resolve().parents[1]
KEPT = Path(os.environ.get("ROOT", "/var/cache/loalang-boot"))
MINE = "arm64" if os.uname().machine == "aarch64" else "amd64"
SCRIPT = sys.argv[0]
WAV = "/var/lib/loalang/heard.wav"
WAV_HEADER_BYTES = 44
NODE = "loalang-node.service"
MEMORY_MB = 256
FETCHED = ["dbus", "udev", "ca-certificates", "systemd", "systemd-sysv", "python3"]
BOOT = """
set -e
mount --make-rprivate / && mount --bind "$0" "$0" && cd "$0"
mount -t proc proc proc && mount -t sysfs -o ro sysfs sys && mount -t tmpfs -o mode=755 tmpfs run
mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
mount -t proc proc mnt && mount --bind mnt/sys/net proc/sys/net && umount mnt
mount -t tmpfs -o mode=755 tmpfs dev && mkdir dev/pts dev/shm
for one in null zero full random urandom tty; do
  touch dev/$one && mount --bind /dev/$one dev/$one
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts && ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs sys/class && mkdir sys/class/leds # an amplifier on a LED
mkdir -p old && pivot_root . old
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 sh -c '
if [ -d /old/sys/fs/cgroup/unified ] || ! grep -qw cgroup2 /proc/self/mounts; then
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd
else
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
umount -l /old && mount --make-rshared / && exec /lib/systemd/systemd'
"""
DROP_IN = f"""
[Service]
ExecStart=
ExecStart=/opt/loalang/bin/loalang-node run --sink wav:{WAV}
"""


class Table:
    """What was asked beside what was measured."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, bool]] = []

    def add(self, what: str, asked: str, measured: str, *, good: bool) -> None:
        """Add a row, and print it."""
        self.rows.append((what, asked, measured, good))
        print(f"{'' if good else '** '}{what}: asked {asked}, measured {measured}", flush=True)

    def speed(self, what: str, most: float, measured: float, unit: str = "s") -> None:
        """Add a row of speed, which fails nothing while others have the machine."""
        is_busy = os.getloadavg()[0] > (os.cpu_count() or 1)
        told = f"{measured:.2f} {unit}" + (", busy machine" if measured > most and is_busy else "")
        self.add(what, f"<= {most:g} {unit}", told, good=measured <= most or is_busy)

    def show(self) -> int:
        """Print all; return 1 where something is less than was asked."""
        print(f"\nload {os.getloadavg()[0]:.1f}\n")
        print("| what | asked | measured | |\n|---|---|---|---|")
        for what, asked, measured, good in self.rows:
            print(f"| {what} | {asked} | {measured} | {'' if good else '**no**'} |")
        return 0 if all(one[-1] for one in self.rows) else 1


class Machine:
    """A system with a systemd of its own in namespaces; what it does is typed at its console."""

    def __init__(self, root: Path, most_mb: int | None = MEMORY_MB) -> None:
        self.root = root
        self.steps = 0
        self.memory = Memory(most_mb)
        asked = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup"]
        self._shell = subprocess.Popen(
            [*asked, "--kill-child", "sh", "-c", BOOT, str(root)],
            stdin=subprocess.DEVNULL,
            preexec_fn=self.memory.begin,  # noqa: PLW1509  # no threads here
        )
        self.pid = 0
        """Of its systemd, as seen from here."""
        until(self._has_begun, 30, "no systemd")
        until(
            lambda: self.does("systemctl is-system-running", fails=True) in ("running", "degraded"),
            60,
            "no boot",
        )

    def _has_begun(self) -> bool:
        children = (
            Path(f"/proc/{self._shell.pid}/task/{self._shell.pid}/children").read_text().split()
        )
        self.pid = int(children[0]) if children else 0
        return bool(children) and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd"

    def command(self, line: str) -> list[str]:
        """Return how a line is typed there, in root's home."""
        inside = [
            "nsenter",
            "--target",
            str(self.pid),
            "--all",
            "env",
            "-i",
            "HOME=/root",
            "TERM=dumb",
        ]
        return [
            *inside,
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            "sh",
            "-c",
            f"cd /root && {line}",
        ]

    def does(self, line: str, *, fails: bool = False, wait_s: float = 120) -> str:
        """Run a line; return what it said."""
        done = subprocess.run(
            self.command(line),
            capture_output=True,
            text=True,
            timeout=wait_s,
            preexec_fn=self.memory.join,  # no threads here
        )
        if done.returncode != 0 and not fails:
            raise SystemExit(
                f"{SCRIPT}: {line}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.journal()}"
            )
        return (done.stdout + done.stderr).strip()

    def typed(self, line: str, **options: float) -> str:
        """Run a line that a person types: it is a step."""
        self.steps += 1
        print(f"# {line}", flush=True)
        return self.does(line, **options)

    def journal(self, unit: str = NODE) -> str:
        """Return the last lines of a unit."""
        return self.does(f"journalctl --no-pager -o short-monotonic -n 40 -u '{unit}'", fails=True)

    def shown(self, name: str, unit: str = NODE) -> str:
        """Return a property of a unit."""
        return self.does(f"systemctl show --value -p {name} '{unit}'")

    def ready_s(self) -> float:
        """Return how long the last start took, from the process to its READY=1."""
        begin, end = (
            int(self.shown(f"{one}TimestampMonotonic")) for one in ("ExecMainStart", "ActiveEnter")
        )
        return (end - begin) / 1e6

    def cpu_s(self) -> float:
        """Return the processor time that the node has had."""
        line = self.does(f"cat /proc/{self.shown('MainPID')}/stat").rpartition(")")[2].split()
        return (int(line[11]) + int(line[12])) / os.sysconf("SC_CLK_TCK")

    def off(self) -> None:
        """End everything in it."""
        self._shell.send_signal(signal.SIGKILL)
        self._shell.wait()
        time.sleep(1)  # its children are gone with it, their groups a moment later
        with contextlib.suppress(OSError):
            self.memory.close()


def until(holds, wait_s: float, otherwise: str) -> float:
    """Wait until something holds; return how long that took."""
    begin = time.monotonic()
    while not holds():
        if time.monotonic() - begin > wait_s:
            told = otherwise() if callable(otherwise) else otherwise
            raise SystemExit(f"{SCRIPT}: {told} in {wait_s} s")
        time.sleep(0.02)
    return time.monotonic() - begin


def bare(line: str) -> str:
    """Return a line of a document as somebody would type it."""
    return re.sub(r"\s+#.*", "", line.removeprefix("$ "))


def written(document: str, begins: str) -> str:
    """Return the line of a page that begins so, as somebody would type it."""
    for line in (TREE / "docs" / document).read_text().splitlines():
        if line.removeprefix("$ ").startswith(begins):
            return bare(line)
    raise SystemExit(f"{SCRIPT}: docs/{document} has no line that begins with {begins!r}")


class Readme:
    """A section of the README that is followed line by line: all of it, in its order."""

    def __init__(self, heading: str) -> None:
        text = (TREE / "README.md").read_text()
        section = re.split(r"^##+ ", text.partition(f"\n{heading}\n")[2], flags=re.MULTILINE)[0]
        blocks = re.findall(r"^```\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
        self._left = [bare(line) for block in blocks for line in block.splitlines() if line.strip()]
        self._heading = heading
        self.count = len(self._left)

    def next(self, begins: str) -> str:
        """Return the next line, which must begin so."""
        if not self._left or not self._left[0].startswith(begins):
            told = self._left[0] if self._left else "its end"
            raise SystemExit(
                f"{SCRIPT}: README.md, {self._heading!r}: {begins!r} is to come next, not {told!r}"
            )
        return self._left.pop(0)

    def rest(self) -> str:
        """Return the lines that nobody typed."""
        return "; ".join(self._left)


def prepared(architecture: str = MINE) -> Path:
    """Return the package, with a base system that has fetched what it and a broker need."""
    base, given = base_of(architecture), os.environ.get(f"DEB_{architecture.upper()}")
    if given is None and architecture == MINE:
        given = os.environ.get("DEB")
    if given is not None:
        deb = Path(given)
    else:
        shutil.rmtree(dist := KEPT / f"dist-{architecture}", ignore_errors=True)
        asked = {"ARCH": architecture, "LOALANG_KERNEL_CACHE": str(KEPT / "kernels")}
        build = [TREE / "packaging" / "build.sh", dist]
        subprocess.run(build, check=True, env={**os.environ, **asked})
        (deb,) = dist.glob("*.deb")
    if not (base / "usr" / "bin" / "apt").exists():
        asked = [f"--arch={architecture}", f"--include={','.join(FETCHED)}", "--variant=minbase"]
        subprocess.run(["debootstrap", *asked, "bookworm", base], check=True)
    shutil.copy(deb, base / "root")
    fetch = "apt-get update -qq && apt-get install -qq -y --download-only mosquitto alsa-utils"
    fetch += f" ./{deb.name}"
    subprocess.run(["chroot", base, "sh", "-c", f"cd /root && {fetch}"], check=True)
    return deb


def base_of(architecture: str) -> Path:
    """Return where the base system of an architecture is kept."""
    return KEPT / ("base" if architecture == MINE else f"base-{architecture}")


def fresh(station: str, architecture: str = MINE) -> Path:
    """Return a fresh Debian 12 with the station's address, a siren and a text to warn with."""
    root = Path(tempfile.mkdtemp(prefix="boot-", dir=KEPT))
    subprocess.run(["cp", "-a", f"{base_of(architecture)}/.", root], check=True)
    (root / "etc/apt/apt.conf.d/99yes").write_text('APT::Get::Assume-Yes "true";\n')
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{station} station.example.vn\n")
    for mine, theirs in (("siren", "siren"), ("announcement_vi", "words-vi")):
        shutil.copy(
            min((TREE / "sim/speech").glob(f"{mine}.*.opus"), key=lambda p: len(p.name)),
            root / f"root/{theirs}.opus",
        )
    return root


def station_lines() -> list[str]:
    """Return the commands of the page's section "Once: the station"."""
    begun = written("enrolment.md", "loalang-station init")
    return ["apt install mosquitto", begun, written("enrolment.md", "ln -s /etc/mosquitto")]


def station_made(machine: Machine, settings: str, lines: list[str]) -> None:
    """Type how a station is made, and set what all poles have."""
    for line in lines:
        machine.typed(line, wait_s=300)
    machine.does(f"cat >> station/node.toml <<'END'\n{settings}\nEND\n")


def enrolled(
    pole: Machine, station: Machine, name: str, line: str, accept: str | None = None
) -> float:
    """Two steps, `line` at the pole and a word at the station; return the machine time in s."""
    pole.steps += 1
    begin = time.monotonic()
    print(f"# {line}", flush=True)
    asking = subprocess.Popen(
        pole.command(line),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pole.memory.join,  # noqa: PLW1509
    )
    for said in asking.stdout:
        if found := re.search(r"loalang-station accept (\S+)", said):
            break
    else:
        raise SystemExit(f"{SCRIPT}: {name}: enrol ended with {asking.wait()}\n{pole.journal()}")
    accept = accept or written("enrolment.md", "loalang-station accept")
    station.typed(accept.replace("GXQZ-4KTA-7MNB", found[1]))
    rest = asking.communicate(timeout=60)[0]
    if asking.returncode != 0:
        raise SystemExit(f"{SCRIPT}: {name}: enrol: {asking.returncode}\n{rest}")
    return time.monotonic() - begin


def signed(station: Machine, order: str) -> None:
    """Sign an order with the commune's key."""
    area = "--area vn/lang-son/huu-lien --key station/commune.key"
    station.does(f"loalang-node order {order} {area} --out order.bin")


def published(station: Machine, poles: list[str]) -> str:
    """Publish what was signed last to some poles; return what they answered."""
    tls = "--ca-file station/ca.pem --certificate-file station/office.pem"
    tls += " --key-file station/office.key"
    to = "--broker station.example.vn:8883 --village huu-lien --poles station/poles.toml"
    named = " ".join(f"--node {one}" for one in poles)
    return station.does(f"loalang-node publish order.bin {to} {tls} {named}")


def warned(
    station: Machine, number: int, poles: dict[str, Machine], lines: tuple[str, str] | None = None
) -> float:
    """Order a warning at the station; return the seconds until it sounds at each of the poles.

    `lines` are typed as they stand, in place of an order of that number and its publication.
    """
    if lines is None:
        signed(station, f"alert --event FFW --lasts 60 --number {number}")
    else:
        station.typed(lines[0])
    before = {name: sounding(one) for name, one in poles.items()}
    begin = time.monotonic()
    said = published(station, list(poles)) if lines is None else station.typed(lines[1])
    for name, one in poles.items():
        if f"{name}: waiting" not in said:
            raise SystemExit(f"{SCRIPT}: {said}\n{one.journal()}")
    for name, one in poles.items():
        until(lambda one=one, name=name: sounding(one) > before[name], 10, f"{name}: no sound")
    return time.monotonic() - begin


def heard(machine: Machine) -> bytes:
    """Return the samples of all that was played so far: 16 bits, silence too."""
    files = sorted((machine.root / WAV[1:]).parent.glob(f"{Path(WAV).name}*"))
    return b"".join(one.read_bytes()[WAV_HEADER_BYTES:] for one in files)


def sounding(machine: Machine) -> int:
    """Return how many bytes of what was played are not zero."""
    return len(heard(machine).translate(None, b"\0"))


def prepare_sink(machine: Machine, more: str = "") -> None:
    """A sink whose sound can be read here; before or after the package."""
    folder = f"/etc/systemd/system/{NODE}.d"
    machine.does(f"mkdir -p {folder} && cat > {folder}/ci.conf <<'END'{DROP_IN}{more}\nEND\n")
    machine.does("systemctl daemon-reload")
