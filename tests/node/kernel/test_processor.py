"""Kernels for another processor: made on this one, without a word of this one's in them."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node.kernel import build
from node.kernel.fit import linked
from node.kernel.processor import MACHINES, Processor, moved, target_machine, unresolved

ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
OTHERS = [one for one in MACHINES if one != platform.machine()]
CODE = """
source_filename = "one"
{declared}
define i64 @one(ptr %at) {attributes} {{
  %given = load i64, ptr %at
  {line}
  ret i64 %given
}}
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_one_kernel_becomes_code_of_the_processor_that_was_asked_for(machine):
    if not linked():
        pytest.skip("numba links by itself: a library is built with a newer one")
    from node.kernel.trial import seventh

    (result,) = seventh.overloads.values()
    code = build.machine_code(result, Processor(machine))
    assert code[:4] == b"\x7fELF"
    assert int.from_bytes(code[18:20], "little") == ELF_MACHINES[machine]


@pytest.mark.parametrize("machine", OTHERS)
@pytest.mark.parametrize(
    ("declared", "attributes", "line", "told"),
    [
        ("declare void @llvm.x86.sse2.pause()", "", "call void @llvm.x86.sse2.pause()", "sse2"),
        ("", "", "%wide = load x86_fp80, ptr %at", "x86_fp80"),
        ("", "", 'call void asm sideeffect "nop", ""()', "nop"),
        ("", '"target-features"="+avx2"', "", "avx2"),
        ("", '"target-cpu"="znver3"', "", "znver3"),
    ],
)
def test_what_only_this_processor_has_is_refused_by_name(machine, declared, attributes, line, told):
    import llvmlite.binding as llvm

    code = CODE.format(declared=declared, attributes=attributes, line=line)
    with pytest.raises(ValueError, match=told):
        moved(llvm.parse_assembly(code), target_machine(Processor(machine)))
    plain = CODE.format(declared="", attributes="", line="")
    there = target_machine(Processor(machine))
    assert moved(llvm.parse_assembly(plain), there).triple.startswith(machine)


def test_a_library_that_wants_what_nobody_has_is_found_before_it_ships(tmp_path, in_ci):
    """A linker that may leave out Python's own names leaves out all; the call would end a node."""
    if shutil.which("cc") is None:
        assert not in_ci, "a C compiler is missing: apt install gcc"
        pytest.skip("a C compiler is missing: apt install gcc")
    source, library = tmp_path / "one.c", tmp_path / "one.so"
    source.write_text(
        "#include <math.h>\n"
        "extern double nowhere(double), PyFloat_AsDouble(void *);\n"
        "double one(double x) { return nowhere(sin(x)) + PyFloat_AsDouble(&x); }\n"
    )
    flags = ["-shared", "-fPIC", "-Wl,--unresolved-symbols=ignore-all"]
    subprocess.run(["cc", *flags, source, "-o", library, "-lm"], check=True)
    assert unresolved(library, "cc") == ["nowhere"]


@pytest.mark.parametrize("machine", OTHERS)
def test_kernels_lowered_for_this_very_processor_become_no_library_of_another(machine, tmp_path):
    if not linked():
        pytest.skip("numba links by itself: a library is built with a newer one")
    done = subprocess.run(
        [sys.executable, "-m", "node.kernel.build", "--for", machine, str(tmp_path)],
        env={**os.environ, "NUMBA_CPU_NAME": "", "LOALANG_KERNELS": "0"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, list(tmp_path.iterdir())) == (2, []), done.stderr
    assert "NUMBA_CPU_NAME=generic" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"ARCH": "armhf"}, "must be amd64 or arm64"), ({"ARCH": "arm64"}, "no library for aarch64")],
)
def test_a_package_of_another_architecture_needs_its_own_library(tmp_path, asked, told):
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "loalang_kernels.cpython-311-x86_64-linux-gnu.so.stamp").write_text("0 0")
    done = subprocess.run(
        [root / "packaging" / "build.sh", tmp_path / "dist"],
        env=os.environ | {"KERNELS": str(tmp_path), "PYTHON": sys.executable, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "dist").exists()
