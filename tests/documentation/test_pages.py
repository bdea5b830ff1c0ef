"""Every page: links lead somewhere, commands are such, code is Python; tutorials are done as they say."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import click
import pytest

from helpers.pages import DOCS, PAGES, ROOT, blocks, commands, prose
from shipgen.cli import run, shipgen
from shipgen_bench.cli import bench

if TYPE_CHECKING:
    from pathlib import Path

#: What a test makes in place of what a page says: less of it.
LESS = {"1e6": "3e4", "1e5": "3e4", "1e9": "1e7", "1e10": "1e8", "50_000": "5_000"}

#: By page: what is not done, since it needs another machine or much time; parsed all the same.
LEFT_OUT = {
    "tutorials/farm.md": ["--dask"],
    "howto/produce.md": ["1e9", "--pot"],
}


def _names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def _anchor(heading: str) -> str:
    """As GitHub and MyST make them."""
    text = re.sub(r"<[^>]*>|[`*]|\]\([^)]*\)", "", heading.strip().lower()).replace("[", "")
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    plain = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {_anchor(found) for found in re.findall(r"^#+ (.*)$", plain, re.MULTILINE)}


@pytest.mark.parametrize("name", _names(PAGES))
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / unquote(path) if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in _anchors(there), target


def test_files_that_the_code_speaks_of_are_there() -> None:
    """Messages, help and comments name pages of the documentation."""
    folders = [ROOT / name for name in ("shipgen", "export", "bench", "macros", "tests")]
    known = {".py", ".sh", ".C", ".h", ".cpp", ".txt", ".toml", ".in"}
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix in known]
    files += [ROOT / name for name in ("pyproject.toml", "CMakeLists.txt", "CHANGELOG.md", "README.md")]
    spoken = {
        (file.name, name)
        for file in files
        for name in re.findall(r"docs/[\w/]+\.(?:md|png|svg|json|ipynb)", file.read_text(encoding="utf-8"))
    }
    assert len(spoken) > 20
    assert [one for one in sorted(spoken) if not (ROOT / one[1]).exists()] == []


def _parse(group: click.Command, words: list[str]) -> None:
    """Parse a command line as the program would, without doing it."""
    context = click.Context(group, info_name=words[0])
    rest = words[1:]
    while isinstance(group, click.Group):
        if rest and rest[0] == "--debug":
            rest = rest[1:]
        if not rest or rest[0] in {"--help", "--version"}:
            return
        _, command, rest = group.resolve_command(context, rest)
        assert command is not None
        if "--help" in rest:
            return
        if isinstance(command, click.Group):
            group, context = command, click.Context(command, parent=context, info_name=command.name)
            continue
        command.make_context(command.name, rest, parent=context)
        return


@pytest.mark.parametrize("name", _names(PAGES))
def test_commands_of_a_page_are_such(name: str) -> None:
    for kind, text in blocks(ROOT / name):
        if kind not in {"sh", ""}:
            continue
        for words in commands(text):
            if not {"COMMAND", "..."}.intersection(words):
                _parse(bench if words[0] == "bench" else shipgen, words)


@pytest.mark.parametrize("name", _names(PAGES))
def test_python_of_a_page_is_such(name: str) -> None:
    for kind, text in blocks(ROOT / name):
        if kind in {"python", "py"}:
            compile(text, name, "exec")


@pytest.mark.parametrize(
    "name", ["tutorials/fairship.md", "tutorials/shield.md", "tutorials/farm.md", "howto/produce.md"]
)
def test_a_tutorial_does_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All blocks in their order, with less of everything."""
    monkeypatch.chdir(tmp_path)
    if name == "howto/produce.md":
        # As the page before it leaves it.
        assert run(["produce", "--n", "1e4", "--seed", "1", "-o", "muons.root"]) == 0
        assert run(["produce", "--n", "1e4", "--seed", "1", "-o", "out.root"]) == 0
    names: dict[str, Any] = {}
    done = 0
    for kind, text in blocks(DOCS / name):
        if kind == "sh":
            for words in commands(text):
                line = shlex.join(words)
                if any(part in line for part in LEFT_OUT.get(name, ())):
                    continue
                arguments = [
                    str(match)
                    for word in words[1:]
                    for match in (sorted(_found(word, tmp_path)) if "*" in word else [LESS.get(word, word)])
                ]
                if arguments[0] == "enhance":
                    arguments += ["--muons", "20000", "--components", "1"]
                assert run(arguments) == 0, (line, capsys.readouterr().err)
                done += 1
        elif kind == "python":
            less = re.sub("|".join(LESS), lambda found: LESS[found[0]], text)
            exec(compile(less, name, "exec"), names)  # noqa: S102 (our own page)
            done += 1
    assert done >= 4


def _found(pattern: str, folder: Path) -> list[str]:
    return [path.name for path in folder.glob(pattern)]
