"""The nodes that the station lists, read again when its folder changes, and what is offered.

Of a node that is listed no more the entries are cleared: an empty payload takes away what is
retained.
"""

import os
from pathlib import Path
from typing import Final

from node.shell.faults import ShellError, file_fault
from node.shell.station.assistant import papers
from node.shell.station.assistant.entities import ALL, announced
from node.shell.station.folder import Station

LOOK_S: Final = 2.0
"""How often the folder is looked at: a thousand files cost a hundredth of that."""


class Listed:
    """The nodes that lie in an area.

    Parameters
    ----------
    station : Station
        Whose nodes.
    area : str
        Where the bridge may order.
    tones : tuple of str
        What is offered of each.

    Raises
    ------
    ShellError
        If the list cannot be used; says why.
    """

    def __init__(self, station: Station, area: str, tones: tuple[str, ...]) -> None:
        self._station, self._area, self._tones = station, area, tones
        self._folder = station.nodes_folder
        self._stamp = _stamp(self._folder)
        if isinstance(self._stamp, ShellError):
            raise self._stamp
        self.sites = papers.sites_of(station, area)
        """Those that may be ordered."""
        self.entries = self._entries({})
        """What is retained for Home Assistant, by topic; empty where nothing is to be."""

    def look(self) -> list[tuple[str, bytes]] | None:
        """Return the entries that are others now, None where the list is the same.

        Raises
        ------
        ShellError
            If the new list cannot be used: once, and the one before holds.
        """
        stamp, before = _stamp(self._folder), self._stamp
        self._stamp = stamp  # of before it is read: what changes meanwhile is read again
        if isinstance(stamp, ShellError):  # a folder that is away is no folder without nodes
            if isinstance(before, ShellError):
                return None
            raise stamp
        if stamp == before:
            return None
        sites = papers.sites_of(self._station, self._area)
        if sites == self.sites:
            return None
        self.sites, offered = sites, self.entries
        self.entries = self._entries(offered)
        return [one for one in self.entries.items() if offered.get(one[0]) != one[1]]

    def _entries(self, offered: dict[str, bytes]) -> dict[str, bytes]:
        village = self._station.about.village
        others = [one.name for one in self._station.nodes() if one.name not in self.sites]
        entries = {topic: b"" for topic, payload in offered.items() if payload}
        for name in others:  # taken back, perhaps while no bridge ran
            entries |= dict.fromkeys(announced(village, name, self._tones), b"")
        for name in (ALL, *self.sites):
            entries |= announced(village, name, self._tones)
        return entries


def _stamp(folder: Path) -> frozenset[tuple[str, int, int, int]] | ShellError:
    """Return what differs when a file came, went, or has another content."""
    found = set()
    try:
        with os.scandir(folder) as files:
            for one in files:
                if one.name.endswith(".json"):
                    about = one.stat()
                    found.add((one.name, about.st_ino, about.st_mtime_ns, about.st_size))
    except OSError as fault:
        return file_fault(folder, fault)
    return frozenset(found)
