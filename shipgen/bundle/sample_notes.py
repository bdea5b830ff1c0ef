"""What was changed or left out of a category's muons before a network learnt them, in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipgen.numbers import plain_text, real, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def sample_notes(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for unusual weights and one for muons left out, where there are any.

    Parameters
    ----------
    facts : mapping
        What the map of a category's muons states, in a bundle under ``coordinates``.
    """
    for name, line in (("unusual_weights", _unusual), ("left_out", _left_out)):
        if facts.get(name):
            try:
                yield line(facts[name])
            except (KeyError, TypeError, ValueError) as error:
                yield f"{name} is not said as this version reads it: {error}"


def _unusual(cut: Mapping[str, Any]) -> str:
    return (
        f"unusual weights: {_muons(cut['muons'])} had more than a hundredth of the sum of squares, cut "
        f"to {real(cut['limit'], 'limit'):.4g}, {_percent(cut['share'])} of the weight"
    )


def _left_out(muons: Mapping[str, Any]) -> str:
    why = plain_text(muons["why"], "why")
    return f"left out: {_muons(muons['muons'])}, {_percent(muons['share'])} of the weight: {why}"


def _muons(stated: object) -> str:
    number = whole(stated, "muons")
    return f"{number:,} muon" + "s" * (number != 1)


def _percent(share: object) -> str:
    return f"{100 * real(share, 'share', low=0, high=1):.2g} %"
