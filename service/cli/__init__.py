"""The command line: ``crowdalpha``. One file a noun; each command parses, calls one workflow or query, and prints."""

from service.cli.app import main, run

__all__ = ["main", "run"]
