"""What a person wants to see of a node: its rules as a matrix, its chain of proof."""

import argparse
from pathlib import Path

import msgspec

from node.control.precedence import matrix
from node.control.proof.proof import KEY_PREFIX, Entry, hash_of, lines_of, verify_chain
from node.shell.config import ShellConfig
from node.shell.faults import EXIT_FAULT, EXIT_INPUT, ShellError
from node.shell.store.read import read_kept


def show_matrix(shell: ShellConfig, options: argparse.Namespace) -> int:
    """Print what a newcomer (row) does to who has the horn (column)."""
    if shell.control is None:
        raise ShellError(f"{options.config}: has no table [control]", exit_status=EXIT_INPUT)
    print(matrix(shell.control.priority))
    return 0


def show_proof(shell: ShellConfig, options: argparse.Namespace) -> int:
    """Print the kept records, one line of JSON each, and whether the chain holds.

    The node may run or not: the store is only read, by whoever may read one of its copies.
    """
    lines = lines_of(_kept(shell, options))
    for line in lines:
        print(line.decode())
    if not lines:
        print("no records")
        return 0
    first = _first(lines[0])
    fault = verify_chain(lines, previous=first[1], number=first[0] - 1)
    head = f"entries {first[0]} to {first[0] + len(lines) - 1}, head {hash_of(lines[-1])}"
    print(f"{head}: the chain holds" if fault is None else f"{head}: {fault}")
    return 0 if fault is None else EXIT_FAULT


def _first(line: bytes) -> tuple[int, str]:
    """Return the number of the oldest entry kept, and the hash that it carries."""
    entry = msgspec.json.decode(line, type=Entry)
    return entry.number, entry.previous


def _kept(shell: ShellConfig, options: argparse.Namespace) -> dict[str, bytes]:
    if shell.store.path is None:
        raise ShellError(f"{options.config}: store.path: nothing is kept", exit_status=EXIT_INPUT)
    kept = read_kept(Path(shell.store.path))
    return {key: value for key, value in kept.items() if key.startswith(KEY_PREFIX)}
