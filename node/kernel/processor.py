"""The processors for which a library of kernels is made, on a machine of any of them.

```
 lowered here, for no processor in particular ─► triple and layout of the other one ─► its code
```
What numba lowers for `generic` is LLVM's code without a word of this machine's: vectors of 128
bits, numbers of the same sizes, and structures that lie alike on all of these. Whatever is this
machine's own all the same is refused.
"""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.kernel.shipped import LIBRARY

MACHINES: Final = ("x86_64", "aarch64")
_OWN_WORDS: Final = re.compile(
    r"@llvm\.(?:x86|aarch64)\.[\w.]+|\bx86_(?:fp80|mmx|amx)\b|\basm (?:sideeffect )?\"[^\"]*\""
    r'|"target-(?:cpu|features)"="[^"]*"'
)
_UNDEFINED: Final = re.compile(r"^\s*U (?P<name>[^@\s]+)(?P<version>@\S+)?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Processor:
    """One architecture, by the name that `uname -m` has for it."""

    machine: str

    @property
    def is_own(self) -> bool:
        """Whether it is this machine's: what is made for it can be loaded here."""
        return self.machine == platform.machine()

    @property
    def library(self) -> str:
        """The name of the file, as a Python of that machine looks for it."""
        return LIBRARY.replace(platform.machine(), self.machine)

    @property
    def compiler(self) -> str:
        """The C compiler: `CC`, or the one that Debian names after the machine."""
        return os.environ.get("CC", "cc" if self.is_own else f"{self.machine}-linux-gnu-gcc")


def own() -> Processor:
    """Return this machine's."""
    return Processor(platform.machine())


def misfit(processor: Processor) -> str:
    """Return what hinders a library for it, with what would be right, "" if nothing does."""
    from numba.core import config

    if processor.is_own or (config.CPU_NAME == "generic" and not config.CPU_FEATURES):
        return ""
    return (
        f"for {processor.machine} the kernels must be lowered for no processor in particular:"
        " set NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES="
    )


def target_machine(processor: Processor) -> Any:
    """Return LLVM's target: this machine as numba sees it, another in its plainest form."""
    import llvmlite.binding as llvm
    from numba.core import config

    triple, name, features = llvm.get_process_triple(), "generic", ""
    if processor.is_own:
        name = config.CPU_NAME or llvm.get_host_cpu_name()
        features = config.CPU_FEATURES if config.CPU_FEATURES is not None else ""
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        triple = f"{processor.machine}-unknown-linux-gnu"
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=name, features=features, opt=3, reloc="pic", codemodel="default"
    )


def moved(module: Any, machine: Any) -> Any:
    """Return a module of LLVM's as one for another target.

    Raises
    ------
    ValueError
        If something in it is only the old target's.
    """
    own_words = sorted(set(_OWN_WORDS.findall(str(module))))
    if own_words:
        raise ValueError(f"only {module.triple} has {', '.join(own_words)}")
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    return module


def unresolved(path: Path, compiler: str) -> list[str]:
    """Return what a library wants and neither the C library nor Python has."""
    named = [compiler, "-print-prog-name=nm"]
    nm = subprocess.run(named, check=True, capture_output=True, text=True).stdout.strip()
    asked = [nm, "-D", "--undefined-only", str(path)]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return [
        one["name"]
        for one in _UNDEFINED.finditer(found)
        if not one["version"] and not one["name"].startswith(("Py", "_Py"))
    ]
