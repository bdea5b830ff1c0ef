"""What can go wrong, one class a kind, each with the exit code the command line gives for it.

A message is one line: what is wrong, where, and what to do next.
"""

from __future__ import annotations


class ShipgenError(Exception):
    """Base of all errors shipgen raises on purpose."""

    exit_code = 1


class InputError(ShipgenError):
    """A file, option or value given by the user cannot be used."""

    exit_code = 3


class BundleError(ShipgenError):
    """A model bundle is missing, damaged or of another format."""

    exit_code = 4


class DeviceError(ShipgenError):
    """The requested device or its software is not there."""

    exit_code = 5


class OutputError(ShipgenError):
    """An output could not be written; nothing stands under its final name."""

    exit_code = 6


class MissingExtraError(ShipgenError):
    """An optional dependency is not installed."""

    exit_code = 7

    def __init__(self, task: str, package: str, extra: str) -> None:
        super().__init__(
            f"{task} needs {package}: install shipgen with its extra {extra!r}, in a clone by "
            f"pip install '.[{extra}]'"
        )
        self._made_of = (task, package, extra)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Make it again from what it was made of, when a worker process hands it on."""
        return type(self), self._made_of
