"""Files of ours as another program writes them again: all there is, in other bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uproot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    Columns = dict[str, np.ndarray[Any, Any]]


def rewrite(
    source: Path,
    target: Path,
    *,
    columns: Callable[[Columns], Columns] = lambda columns: columns,
    texts: Callable[[dict[str, str]], dict[str, str]] = lambda texts: texts,
) -> Path:
    """Write the muons and the texts of `source` to `target` by uproot, changed by `columns` and `texts`."""
    with uproot.open(source) as file, uproot.recreate(target) as copy:
        kinds = file.classnames(cycle=False)
        (tree,) = (name for name, kind in kinds.items() if kind != "TObjString")
        muons = columns(file[tree].arrays(library="np"))
        # In pieces that are not those of the source.
        writable = copy.mktree(tree, {name: values.dtype for name, values in muons.items()})
        for start in range(0, len(next(iter(muons.values()))), 700):
            writable.extend({name: values[start : start + 700] for name, values in muons.items()})
        for name, text in texts({name: str(file[name]) for name in kinds if name != tree}).items():
            copy[name] = text
    return target
