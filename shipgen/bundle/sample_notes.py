"""What was changed or left out of a category's muons before a network learnt them, in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def sample_notes(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for unusual weights and one for muons left out, where there are any.

    Parameters
    ----------
    facts : mapping
        What the map of a category's muons states, in a bundle under ``coordinates``.
    """
    cut, left_out = facts.get("unusual_weights"), facts.get("left_out")
    if cut:
        yield (
            f"unusual weights: {_muons(cut['muons'])} had more than a hundredth of the sum of squares, cut "
            f"to {cut['limit']:.4g}, {_percent(cut['share'])} of the weight"
        )
    if left_out:
        yield (
            f"left out: {_muons(left_out['muons'])}, {_percent(left_out['share'])} of the weight: "
            f"{left_out['why']}"
        )


def _muons(number: int) -> str:
    return f"{number:,} muon" + "s" * (number != 1)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
