from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from helpers.pages import PAGES
from shipgen.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

    Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_is_documented(shipgen: Run, name: str) -> None:
    done = shipgen(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: shipgen {name}")
    # Beside the reference, which is made of this help.
    pages = [page for page in PAGES if page.name != "commands.md"]
    assert any(f"shipgen {name}" in page.read_text(encoding="utf-8") for page in pages)


@pytest.mark.parametrize("name", COMMANDS)
def test_former_names_of_options_still_work_and_are_not_shown(name: str) -> None:
    command = importlib.import_module(COMMANDS[name][0]).command
    group = command.commands.values() if isinstance(command, click.Group) else [command]
    known = {"--cores", "--processes", "--jobs", "--limit"}
    for one in group:
        with click.Context(one) as context:
            parser, text = one.make_parser(context), one.get_help(context)
        assert not known.intersection(text.replace(",", " ").split())
        for option in one.params:
            for old in getattr(option, "old", ()):
                assert option.name is not None
                values, *_ = parser.parse_args([old, "3"])
                assert values[option.name] == "3"


@pytest.mark.parametrize(
    ("name", "former"),
    [
        ("simulate", "--cores"), ("simulate", "--jobs"),
        ("prepare", "--cores"), ("validate", "--cores"), ("validate", "--limit"), ("tune", "--processes"),
        ("tune", "--jobs"),
    ],
)  # fmt: skip
def test_former_names_are_those_of_the_option_that_took_their_place(name: str, former: str) -> None:
    command = importlib.import_module(COMMANDS[name][0]).command
    assert former in {old for option in command.params for old in getattr(option, "old", ())}


@pytest.mark.parametrize("name", ["produce", "condor"])
def test_an_amount_of_muons_has_its_short_words(name: str) -> None:
    command = importlib.import_module(COMMANDS[name][0]).command
    assert [option.opts for option in command.params if option.name == "n"] == [["-n", "--n", "--muons"]]


def test_help_loads_nothing_heavy() -> None:
    """What makes `--help` answer at once: no array, ROOT, network or training library is imported."""
    program = (
        "import sys, json; from shipgen.cli import run; run(['--help']); "
        "print('MODULES', json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout.partition("MODULES ")[2])
    heavy = {"numpy", "uproot", "awkward", "onnxruntime", "tensorflow", "rich", "pythia8mc", "sklearn"}
    assert not heavy.intersection(modules)


def test_producing_loads_no_training_library(bundle: Bundle, tmp_path: Path) -> None:
    program = (
        "import sys, json; from shipgen.cli import run; "
        f"assert run(['produce', '--n', '100', '-o', {str(tmp_path / 'o.root')!r}, '--bundle', "
        f"{str(bundle.path)!r}]) == 0; print('MODULES', json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout.partition("MODULES ")[2])
    assert not {"tensorflow", "ROOT", "sklearn", "shipgen_export"}.intersection(modules)


def test_alone_it_prints_its_help(shipgen: Run) -> None:
    done = shipgen()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == shipgen("--help").stdout


def test_version(shipgen: Run) -> None:
    import shipgen as package

    assert shipgen("--version").stdout.strip().endswith(package.__version__)


def test_unknown_command(shipgen: Run) -> None:
    done = shipgen("make")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_info(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    told = shipgen("info", bundle.path)
    assert told.returncode == 0
    assert "1.5000e-03 muons per proton on target" in told.stdout
    shipgen("produce", "--n", "1000", "--seed", 1, "-o", "out.root", "--bundle", bundle.path)
    told = shipgen("info", "out.root")
    assert "948 entries, 11 branches" in told.stdout
    assert bundle.sha256 in told.stdout
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"model": "gan", "seed": 1}')
    told = shipgen("info", "run")
    assert "model: gan" in told.stdout
    assert "muplus_onaxis    not trained" in told.stdout
    (tmp_path / "text.root").write_text("text")
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "text.root", "empty"):
        told = shipgen("info", name)
        assert told.returncode == 3
        assert told.stderr.count("\n") == 1
        assert name in told.stderr


def test_debug_shows_the_traceback(shipgen: Run) -> None:
    done = shipgen("--debug", "info", "nowhere")
    assert "Traceback" in done.stderr
    assert done.returncode == 1


def test_a_tree_is_produced_without_uproot_and_awkward(tmp_path: Path, bundle: Bundle) -> None:
    """They take a third of a second, and only reading needs them; the library's names need no network."""
    code = (
        "import sys, json, shipgen; from shipgen.cli import run; shipgen.MuonGenerator; "
        "print('MODULES', json.dumps(sorted(sys.modules))); "
        f"assert run(['produce', '--n', '100', '-o', {str(tmp_path / 'f.root')!r}, '--bundle', "
        f"{str(bundle.path)!r}]) == 0; print('MODULES', json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    _, library, produced = (part.partition("\n")[0] for part in done.stdout.split("MODULES "))
    heavy = {"uproot", "awkward", "fsspec", "pyarrow", "pandas", "asyncio", "rich", "multiprocessing.pool"}
    assert not heavy.intersection(json.loads(produced))
    assert not {*heavy, "onnxruntime"}.intersection(json.loads(library))


def test_help_needs_no_tensorflow() -> None:
    """Whoever has not installed it asks what there is, and the site is built without."""
    code = (
        "import importlib, sys; sys.modules['tensorflow'] = None; from shipgen.cli import COMMANDS\n"
        "for home, _ in COMMANDS.values(): importlib.import_module(home)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
