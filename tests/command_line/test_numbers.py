"""What files state is taken strictly: JSON, numbers, texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from shipgen.errors import InputError
from shipgen.files.outputs import read_json
from shipgen.numbers import DEEPEST, parse_json, plain_text, real, shown, whole
from shipgen.provenance import parse_object

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1e999]", "too large"),
        ("[-Infinity]", "-Infinity is no number"),
        ("NaN", "NaN is no number"),
        ('{"a": 1, "a": 2}', "twice"),
        (r'"\ud800"', "surrogates"),
        ('"\udc80"', "surrogates"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested deeper"),
        ('{"a":' * 50_000, "nested deeper"),
        ("1" * 5000, "digits"),
        ("{", "Expecting"),
    ],
)
def test_json_that_nobody_writes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    assert parse_object(text) is None


def test_json_as_it_should_be() -> None:
    content = {"a": [1, -2.5e-300, None, True, "\u00b5 \U0001f600"], "b": {"a": {}}}
    assert parse_json(json.dumps(content)) == parse_json(json.dumps(content, ensure_ascii=False)) == content
    deepest = "[" * DEEPEST + "]" * DEEPEST
    assert json.dumps(parse_json(deepest)) == deepest


def test_a_file_of_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": Infinity}')
    with pytest.raises(InputError, match=r"x\.json is not valid JSON: Infinity is no number"):
        read_json(path)
    path.write_text(" " * 2**25 + "{}")
    with pytest.raises(InputError, match="larger than any JSON of shipgen"):
        read_json(path)
    with pytest.raises(InputError, match="it is no file"):
        read_json(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("value", [True, None, "1", " 1_0 ", [1], {}, 1e999, float("nan"), 10**400, 0, -3.5])
def test_no_real_number_in_range(value: object) -> None:
    with pytest.raises(ValueError, match=r"^rate is .*(no number|not from 1e-09 to 10)"):
        real(value, "rate", low=1e-9, high=10)


@pytest.mark.parametrize("value", [True, None, "5", 5.9, 5.0, [], 0, 2**64, 10**4000])
def test_no_whole_number_in_range(value: object) -> None:
    with pytest.raises(ValueError, match=r"^latent_size is .*(no whole number|not from 1 to 9)"):
        whole(value, "latent_size", low=1, high=9)


def test_numbers_as_they_should_be() -> None:
    assert [real(value, "x") for value in (0, -3, 2.5, 10**300)] == [0, -3, 2.5, 1e300]
    assert isinstance(real(3, "x"), float)
    assert whole(9, "x", high=9) == 9


@pytest.mark.parametrize("value", ["", "a\x00b", "\x1b[2J", "a\nb", "\ud800", 5, "x" * 1001])
def test_no_text_to_show(value: object) -> None:
    with pytest.raises(ValueError, match=r"^label (is|has) ") as error:
        plain_text(value, "label")
    assert str(error.value).isprintable()
    assert plain_text("Pythia 8, \u00b5", "label") == "Pythia 8, \u00b5"


def test_what_is_shown_is_short() -> None:
    values = (None, True, 1.0, 10**5000, [1] * 9, {"a": 1}, "\x1b" * 1000)
    found = [shown(value) for value in values]
    assert found[:3] == ["null", "true", "1.0"]
    assert all(len(text) < 50 and text.isprintable() for text in found)
