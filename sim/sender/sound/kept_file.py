"""The file of a loop, held open, so that it outlives what is put in its place."""

import os


class KeptFile:
    """The file of a loop that was good, open, so that it outlives what is put in its place."""

    def __init__(self) -> None:
        self._good: int | None = None
        self._new: int | None = None
        self.is_wanted = False
        """Whether what has the name now is no sound."""

    @property
    def path(self) -> str:
        """Where it can be opened again."""
        return f"/proc/self/fd/{self._good}"

    def offer(self, descriptor: int) -> None:
        """Hold the file that is being read, until it is judged."""
        if self._new is not None:
            os.close(self._new)
        self._new = os.dup(descriptor)

    def close(self) -> None:
        """Close what is held."""
        for descriptor in (self._good, self._new):
            if descriptor is not None:
                os.close(descriptor)
        self._good = self._new = None

    def judge(self, good: bool) -> bool:
        """Keep the file offered last if it was good; return whether there is a good one."""
        if good and self._new is not None:
            if self._good is not None:
                os.close(self._good)
            self._good, self._new = self._new, None
        self.is_wanted = not good
        return good or self._good is not None
