"""How far a long run is: what a workflow tells, and whoever wants to may show."""

from typing import Protocol


class Progress(Protocol):
    """What shows how far a long run is; the command line draws a bar, a test nothing."""

    def start(self, total: int, text: str) -> None:
        """Begin a phase of ``total`` steps."""

    def advance(self, text: str) -> None:
        """One step further; ``text`` says where it is."""

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""


class Silent:
    """Progress that shows nothing."""

    def start(self, total: int, text: str) -> None:
        """Do nothing."""

    def advance(self, text: str) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
