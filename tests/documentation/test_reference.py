"""Every command and every public name is in the reference, with a text of its own."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import click
import pytest

import shipgen
import shipgen.errors
import shipgen.fairship
from helpers.pages import DOCS, ROOT
from shipgen.cli import COMMANDS

COMMAND_PAGE = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
PYTHON_PAGE = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")

#: What the page documents, by kind of directive.
DOCUMENTED = set(re.findall(r"^\.\. (?:autofunction|autoclass|data):: ([\w.]+)$", PYTHON_PAGE, re.MULTILINE))


def test_every_command_is_in_the_reference() -> None:
    blocks = re.findall(
        r"\.\. click:: ([\w.]+):command\n   :prog: shipgen (\w+)\n   :nested: full", COMMAND_PAGE
    )
    assert {name: module for module, name in blocks} == {name: home for name, (home, _) in COMMANDS.items()}
    assert ".. click:: shipgen_bench.cli:bench" in COMMAND_PAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = importlib.import_module(COMMANDS[name][0]).command
    for one in [command, *(command.commands.values() if isinstance(command, click.Group) else [])]:
        assert one.help, one.name
        for option in one.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{one.name} {option.name}"


def test_every_public_name_is_in_the_reference() -> None:
    names = {f"shipgen.{name}" for name in {*shipgen.__all__, *shipgen.__dir__()}}
    names |= {f"shipgen.fairship.{name}" for name in shipgen.fairship.__all__}
    names |= {f"shipgen.torch.{name}" for name in _public_of("shipgen/torch.py")}
    assert names <= DOCUMENTED
    assert ".. automodule:: shipgen.errors\n   :members:" in PYTHON_PAGE


def _public_of(path: str) -> set[str]:
    """Classes and functions of a module that may not be importable here."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {item.name for item in body if isinstance(item, kinds) and not item.name.startswith("_")}


@pytest.mark.parametrize("name", sorted(DOCUMENTED - {"shipgen.__version__", "shipgen.torch.MuonDataset"}))
def test_what_is_in_the_reference_is_there_and_says_what_it_does(name: str) -> None:
    module, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(module), last)
    assert inspect.getdoc(found)
    if inspect.isclass(found):
        for member, value in vars(found).items():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(getattr(found, member)), f"{name}.{member}"


def test_what_the_documentation_says_is_in_its_lists() -> None:
    """Pages that no list of the site leads to are read by nobody."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^((?:tutorials|howto|reference|explanation)/\w+)$", index, re.MULTILINE))
    there = {
        str(page.relative_to(DOCS).with_suffix(""))
        for page in DOCS.rglob("*")
        if page.suffix in {".md", ".ipynb"} and page.stem != "index"
    }
    assert listed == there
