"""`loalang-station root`: promise the root that is to follow, and let it follow.

```
 root next     offline/root-2.key is made, and nodes that were promised none are told its digest
 root rotate   root and root-2 sign that root-2 holds from now on and when root ends; root-2
               certifies the commune's keys; root-3 is made, and promised with it
```
Both keys must lie in `offline` for the second command, and for no other one.
"""

import argparse
import time
from typing import Final

import msgspec

from node.control.trust.message import Kind, cosign
from node.control.trust.roots import RootChange, digest_of
from node.shell.enrol.papers import fingerprint
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.station.folder import Station, root_name
from node.shell.station.init import certify_all, make_next_root, sign, write_about, write_bundle
from node.shell.store.whole import write_file

_DAY_S: Final = 86_400
OVERLAP_MAX_DAYS: Final = 3650


def root_command(options: argparse.Namespace) -> int:
    """Do what was asked for; return the exit status."""
    station = Station.open(options.folder)
    if options.what == "next":
        return _promise(station)
    return _rotate(station, options.overlap)


def _promise(station: Station) -> int:
    number = station.about.root_number + 1
    if station.about.next_root:
        raise ShellError(
            f"{root_name(number)} was promised already: {station.about.next_root}",
            exit_status=EXIT_INPUT,
        )
    station = Station(station.folder, make_next_root(station, number))
    write_about(station)
    print(f"promised    {station.about.next_root}")
    print(f"carry away  {station.folder / 'offline'}/{root_name(number)}.key")
    print("next        `loalang-station send`: nodes that were promised none are told")
    return 0


def _rotate(station: Station, overlap_days: int) -> int:
    number = station.about.root_number
    if not 0 <= overlap_days <= OVERLAP_MAX_DAYS:
        raise ShellError(
            f"--overlap {overlap_days}: must be 0 to {OVERLAP_MAX_DAYS} days",
            exit_status=EXIT_INPUT,
        )
    if not station.about.next_root:
        raise ShellError(
            "no root was promised to the nodes: `loalang-station root next`, then `send`, first",
            exit_status=EXIT_INPUT,
        )
    present, following = station.root(number), station.root(number + 1)
    make_next_root(station, number + 2)
    now_s = int(time.time())
    until_s = now_s + overlap_days * _DAY_S
    change = RootChange(
        number,
        present.public_key,
        following.public_key,
        now_s,
        until_s,
        digest_of(station.root(number + 2).public_key),
    )
    statement = sign(station, present, Kind.ROOT, msgspec.json.encode(change))
    write_file(station.folder / "orders" / f"a-root-{number}.bin", cosign(statement, following))
    certify_all(station, following)
    write_bundle(station)
    about = msgspec.structs.replace(station.about, root_number=number + 1)
    write_about(Station(station.folder, about))
    ends = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(until_s))
    print(f"root        {fingerprint(following.public_key)}, from now on")
    print(
        f"ends        {fingerprint(present.public_key)}, {ends}, with all that it alone certified"
    )
    print(f"carry away  {station.folder / 'offline'}, root-{number + 2}.key to another place")
    print("next        `loalang-station send`, also `--stick`; certify other authorities anew")
    return 0
