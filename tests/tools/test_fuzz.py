"""A few trials of each fuzzer; `python tests/fuzz.py --minutes 30` runs many."""

from __future__ import annotations

import pytest

from helpers.fuzzing import FUZZERS, fuzz

#: Trials of each kind, a second or two.
TRIALS = {"files": 3, "journals": 8, "signals": 4}


@pytest.mark.parametrize("kind", FUZZERS)
def test_damage_is_never_taken_for_a_result(kind: str) -> None:
    outcome = fuzz(kind, trials=TRIALS.get(kind, 10))
    assert outcome.wrong == {}
    assert sum(outcome.ends.values()) == TRIALS.get(kind, 10)
