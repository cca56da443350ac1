"""The amplifier's mute: a file that gets 1 or 0, such as the brightness of a GPIO that is a LED.

It is mute when the node begins, and when it ends in good order.
"""

from pathlib import Path


class AmplifierSwitch:
    """Un-mute and mute the amplifier.

    Parameters
    ----------
    path : str or None
        What is written to; None: nothing is.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self.fault: str | None = None
        """Why it was not switched the last time; None: it was."""
        self.turn(on=False)

    def turn(self, *, on: bool) -> None:
        """Un-mute it, or mute it. What fails is kept as `fault`: the sound goes on."""
        if self._path is None:
            return
        try:
            self._path.write_text("1" if on else "0", "ascii")
        except OSError as fault:
            self.fault = f"{self._path}: {fault.strerror}"
        else:
            self.fault = None
