"""The JSON schema of bundles: real ones fit, wrong ones do not, and it knows every key that there is."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from helpers.bundles import write_levelled_bundle
from helpers.pages import DOCS, ROOT
from shipgen.bundle.bundle import DEFAULT_BUNDLE, INDEX, UNITS
from shipgen.bundle.details import Details

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

SCHEMA = json.loads((DOCS / "reference" / "bundle.schema.json").read_text(encoding="utf-8"))
BUNDLES = sorted((ROOT / "shipgen" / "bundles").glob(f"*/{INDEX}"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.parent.name)
def test_bundles_of_the_package_fit(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    validator.validate(content)
    assert content.keys() <= SCHEMA["properties"].keys()
    for item in content["categories"]:
        assert item.keys() <= SCHEMA["$defs"]["category"]["properties"].keys()


def test_a_bundle_that_is_written_now_fits(
    bundle: Bundle, validator: jsonschema.Draft202012Validator
) -> None:
    content = json.loads((bundle.path / INDEX).read_text(encoding="utf-8"))
    validator.validate(content)
    assert content.keys() <= SCHEMA["properties"].keys()


def test_one_whose_networks_take_levels_fits(
    tmp_path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    written = write_levelled_bundle(tmp_path / "levels")
    content = json.loads((written.path / INDEX).read_text(encoding="utf-8"))
    validator.validate(content)
    for item in content["categories"]:
        assert item.keys() <= SCHEMA["$defs"]["category"]["properties"].keys()


def test_it_knows_what_the_program_knows() -> None:
    assert Details.__annotations__.keys() <= SCHEMA["$defs"]["category"]["properties"].keys()
    units = SCHEMA["properties"]["units"]
    assert {name: rule["const"] for name, rule in units["properties"].items()} == UNITS
    assert set(units["required"]) == set(UNITS)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format_version",), 2),
        (("units", "rate"), "muons per spill"),
        (("energy_cut",), "10 GeV"),
        (("categories",), []),
        (("categories", 0, "rate"), -1.0),
        (("categories", 0, "stream"), 3),
        (("categories", 0, "pdg"), 13),
        (("categories", 2, "features"), ["z", "px", "py", "pz"]),
        (("categories", 0, "file"), "../outside.onnx"),
        (("categories", 0, "sha256"), "short"),
        (("categories", 0, "name"), "muplus"),
    ],
)
def test_wrong_ones_do_not_fit(
    place: tuple[Any, ...], value: object, validator: jsonschema.Draft202012Validator
) -> None:
    content = json.loads((DEFAULT_BUNDLE / INDEX).read_text(encoding="utf-8"))
    wrong = copy.deepcopy(content)
    inner = wrong
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert validator.is_valid(content)
    assert not validator.is_valid(wrong)
