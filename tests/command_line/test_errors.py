"""Errors cross process boundaries: a worker's error reaches the command line as it was raised."""

from __future__ import annotations

import pickle

import pytest

from shipgen import errors
from shipgen.errors import MissingExtraError, ShipgenError
from shipgen_export.training.loop import Stopped
from shipgen_export.validation.report.thresholds import LimitError

CLASSES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]


@pytest.mark.parametrize("kind", [*CLASSES, LimitError, Stopped])
def test_errors_survive_pickling(kind: type[Exception]) -> None:
    error = kind("training", "tensorflow", "train") if kind is MissingExtraError else kind("what and where")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (made in the line itself)
    assert type(again) is kind
    assert str(again) == str(error)
    if isinstance(error, ShipgenError):
        assert again.exit_code == error.exit_code
