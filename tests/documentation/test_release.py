"""One version, stated once; what packages it elsewhere asks for what it needs."""

from __future__ import annotations

import re
import tomllib

from helpers.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_version_and_date_agree() -> None:
    version = PROJECT["version"]
    dated = dict(re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", _text("CHANGELOG.md"), re.MULTILINE))
    assert next(iter(dated)) == version
    citation = _text("CITATION.cff")
    assert f"\nversion: {version}\n" in citation
    assert f'\ndate-released: "{dated[version]}"\n' in citation
    assert f"  version: {version}\n" in _text("packaging/conda/recipe.yaml")


def test_the_conda_recipe_asks_for_what_the_package_needs() -> None:
    other = {"xxhash": "python-xxhash"}
    recipe = _text("packaging/conda/recipe.yaml").partition("  run:\n")[2].partition("\n\n")[0]
    asked = dict(re.findall(r"^    - ([\w-]+) (\S+)$", recipe, re.MULTILINE))
    needed = {}
    for one in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cpu"]]:
        name, bounds = re.fullmatch(r"([\w-]+)(\S+)", one).groups()  # type: ignore[union-attr]
        needed[other.get(name, name)] = bounds
    assert asked == {"python": PROJECT["requires-python"], **needed}


def test_pythons_are_those_of_the_classifiers() -> None:
    named = re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">=3.{named[0]},<3.{int(named[-1]) + 1}"


def test_the_container_installs_extras_that_there_are() -> None:
    (extras,) = re.findall(r"\.\[([\w,]+)\]", _text("containers/Containerfile"))
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


def test_the_wheel_has_all_packages_that_there_are() -> None:
    """One that is forgotten is missed only where the source is not."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    homes = {"shipgen": "shipgen", **tools["package-dir"]}
    there = {
        ".".join([name, *index.parent.relative_to(ROOT / folder).parts])
        for name, folder in homes.items()
        for index in (ROOT / folder).rglob("__init__.py")
    }
    assert set(tools["packages"]) == there
