"""The documentation's pages as tests take them: blocks of code, commands, links."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: All pages in Markdown, those of the repository's front included.
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the kind and the text of each block of code."""
    return [(found[1], found[2]) for found in _FENCE.finditer(page.read_text(encoding="utf-8"))]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each line of a block that calls shipgen or bench."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s&&\s|;\s", line):
            words = shlex.split(part, comments=True)
            if words[:3] == ["python", "-m", "shipgen"]:
                words = words[2:]
            if words and Path(words[0]).name in {"shipgen", "bench"}:
                yield [Path(words[0]).name, *words[1:]]


def prose(page: Path) -> str:
    """Return a page without its blocks and pieces of code."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))


def cells(notebook: Path) -> list[str]:
    """Return the code cells of a notebook."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
