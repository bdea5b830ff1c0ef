"""Bundles by name: where they are found, how they come from an address, and what their card says."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.bundles import edit_index
from helpers.web_server import serve
from shipgen.bundle import fetch as fetching
from shipgen.bundle import library
from shipgen.bundle.bundle import DEFAULT_BUNDLE, Bundle
from shipgen.bundle.fetch import fetch, listing
from shipgen.bundle.index import index_hash
from shipgen.cli import run
from shipgen.describe.card import card
from shipgen.errors import BundleError, InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the user's bundles; the tests start in another one."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv(library.VARIABLE, str(folder))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


@pytest.fixture
def offered(bundle: Bundle, tmp_path: Path) -> Path:
    """A folder as an address has it: a bundle, and the list."""
    folder = tmp_path / "offered"
    shutil.copytree(bundle.path, folder / "theirs")
    content = {"bundles": {"theirs": {"sha256": bundle.sha256, "label": bundle.label}}}
    (folder / "bundles.json").write_text(json.dumps(content))
    return folder


@contextmanager
def address_of(folder: Path, kind: str) -> Iterator[str]:
    if kind == "folder":
        yield str(folder)
    else:
        with serve(folder) as address:
            yield address


def test_names_of_the_user_work_wherever_a_bundle_is_taken(bundle: Bundle, mine: Path) -> None:
    shutil.copytree(bundle.path, mine / "known")
    assert (
        Bundle.open("known")
        == MuonGenerator("known", n=10).bundle
        == MuonGenerator(10, bundle="known").bundle
    )
    assert Bundle.open("known").path == mine / "known"
    assert run(["produce", "--n", "100", "--bundle", "known", "-o", "out.root", "--seed", "1"]) == 0
    assert run(["info", "known"]) == 0
    assert run(["condor", "jobs", "--shards", "2", "-n", "1e6", "--bundle", "known", "-o", "all.root"]) == 0
    jobs = "".join(file.read_text() for file in (mine.parent / "here" / "jobs").glob("*.sub"))
    assert f"--bundle {mine / 'known'} " in jobs


def test_what_is_here_comes_first_then_the_package(bundle: Bundle, mine: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, mine / "default")
    assert Bundle.open("default") == Bundle.open() == Bundle.open(DEFAULT_BUNDLE)
    assert dict(library.named())["default"] == DEFAULT_BUNDLE
    shutil.copytree(bundle.path, tmp_path / "here" / "default")
    assert Bundle.open("default").sha256 == bundle.sha256
    assert Bundle.open().path == DEFAULT_BUNDLE


def test_a_name_that_is_none_is_told(mine: Path) -> None:
    for name in ("nowhere", "../mine", "a/b", ".hidden"):
        with pytest.raises(BundleError, match=r"is no bundle .* or a name of `shipgen bundle list`"):
            Bundle.open(name)
    assert list(mine.iterdir()) == []


def test_user_folder_without_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(library.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert library.user_folder() == tmp_path / "shipgen" / "bundles"
    assert next(name for name, _ in library.named()) == "default"


def test_files_are_known_by_the_bundle_that_made_them(
    bundle: Bundle, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bundle.path, mine / "known")
    produce(MuonGenerator(bundle, n=100, seed=1), mine / "out.root")
    assert library.known(bundle.sha256) == ("known", mine / "known")
    assert library.known(Bundle.open().sha256) == ("default", DEFAULT_BUNDLE)
    assert library.known("0" * 64) is library.known(None) is None
    assert run(["info", str(mine / "out.root")]) == 0
    assert "made with the known bundle: `shipgen info known`" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["folder", "web"])
def test_fetch(kind: str, bundle: Bundle, mine: Path, offered: Path) -> None:
    with address_of(offered, kind) as address:
        if kind == "folder":
            assert listing(address) == {"theirs": bundle.sha256}
            made = fetch("theirs", address)
        else:
            # Without a hash, what comes by http:// is anybody's.
            with pytest.raises(InputError, match="not protected on its way"):
                fetch("theirs", address)
            assert list(mine.iterdir()) == []
            made = fetch("theirs", address, sha256=bundle.sha256)
    assert made.path == mine / "theirs"
    assert made == Bundle.open("theirs")
    assert made.sha256 == bundle.sha256
    with pytest.raises(InputError, match="exists"):
        fetch("theirs", str(offered))
    assert fetch("theirs", str(offered), force=True) == made


def _other_rate(folder: Path) -> None:
    edit_index(folder, lambda index: index["categories"][0].update(rate=1.0))


def _other_network(folder: Path) -> None:
    path = folder / "muplus_onaxis.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def _no_network(folder: Path) -> None:
    (folder / "muplus_onaxis.onnx").unlink()


@pytest.mark.parametrize(
    ("harm", "kind", "error", "message"),
    [
        (_other_rate, "web", BundleError, "has sha256 .*, not .*: it was changed"),
        (_other_network, "web", BundleError, "hash differs"),
        (_no_network, "web", InputError, "muplus_onaxis.onnx cannot be read .*Not Found"),
        (_no_network, "folder", InputError, "muplus_onaxis.onnx cannot be read .*No such file"),
    ],
)
def test_what_is_not_as_it_was_written_is_refused(
    harm: object, kind: str, error: type[Exception], message: str, bundle: Bundle, mine: Path, offered: Path
) -> None:
    assert callable(harm)
    harm(offered / "theirs")
    with address_of(offered, kind) as address, pytest.raises(error, match=message):
        fetch("theirs", address, sha256=bundle.sha256)
    assert [path for path in mine.iterdir() if not path.name.startswith(".")] == []


@pytest.mark.parametrize("file", ["../../outside.onnx", "/etc/outside.onnx", "bundle.json"])
def test_nothing_is_written_outside(file: str, mine: Path, offered: Path) -> None:
    edit_index(offered / "theirs", lambda index: index["categories"][0].update(file=file))
    (offered / "outside.onnx").write_bytes(b"harm")
    digest = index_hash(offered / "theirs" / "bundle.json")
    with pytest.raises(BundleError, match="outside the folder"):
        fetch("theirs", str(offered), sha256=digest)
    assert list(mine.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [
        ("../theirs", None, "no name of a bundle"),
        ("default", None, "a bundle of the package"),
        ("others", None, "has no bundle others: it has theirs"),
        ("theirs", "ftp://host/bundles", "bundles come from https:// and root://"),
        ("theirs", "nowhere", "neither a folder nor an address"),
    ],
)
def test_what_cannot_be_fetched(
    name: str, address: str | None, message: str, mine: Path, offered: Path
) -> None:
    with pytest.raises(InputError, match=message):
        fetch(name, address or str(offered))
    assert list(mine.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", '{"bundles": {"a": {"sha256": "1"}}}', '{"bundles": {"../a": {}}}']
)
def test_lists_that_are_none(text: str, mine: Path, offered: Path) -> None:
    (offered / "bundles.json").write_text(text)
    with pytest.raises(InputError, match=r"is no list of bundles .*: give the bundle's --sha256"):
        fetch("theirs", str(offered))
    with pytest.raises(InputError, match="no SHA-256"):
        fetch("theirs", str(offered), sha256="short")
    assert list(mine.iterdir()) == []


def test_what_has_no_end_is_left(
    bundle: Bundle, mine: Path, offered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_NETWORK", 100)
    with pytest.raises(InputError, match="more than 100 bytes: it is no part of a bundle"):
        fetch("theirs", str(offered), sha256=bundle.sha256)
    assert list(mine.iterdir()) == []


@pytest.mark.parametrize("name", ["bundles.json", "theirs/bundle.json", "theirs/muplus_onaxis.onnx"])
def test_what_would_never_come_is_not_waited_for(
    name: str, bundle: Bundle, mine: Path, offered: Path
) -> None:
    (offered / name).unlink()
    os.mkfifo(offered / name)
    with pytest.raises(InputError, match="is no file: it is no part of a bundle"):
        fetch("theirs", str(offered), sha256=bundle.sha256 if "/" in name else None)
    assert list(mine.iterdir()) == []


def test_commands(bundle: Bundle, mine: Path, offered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bundle", "list", "--at", str(offered)]) == 0
    assert capsys.readouterr().out == f"{'theirs':20} {bundle.sha256}\n"
    assert run(["bundle", "fetch", "theirs", "--at", str(offered)]) == 0
    assert bundle.sha256 in capsys.readouterr().out
    assert run(["bundle", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert " package " in lines["default"]
    assert " yours " in lines["theirs"]
    assert run(["bundle", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((offered / "bundles.json").read_text())
    assert run(["bundle", "verify"]) == 0
    assert f"theirs: as it was written, sha256 {bundle.sha256}" in capsys.readouterr().out
    assert run(["bundle", "verify", "theirs", "--sha256", "0" * 64]) == 4
    assert "not 000" in capsys.readouterr().err
    _other_network(mine / "theirs")
    assert run(["bundle", "verify"]) == 4
    assert "hash differs" in (told := capsys.readouterr()).err
    assert "default: as it was written" in told.out
    assert run(["bundle", "list"]) == 0
    assert "cannot be used: " in capsys.readouterr().out
    assert run(["bundle", "show", "theirs"]) == 4
    assert run(["bundle", "show"]) == 0
    assert capsys.readouterr().out.startswith("default: ")


def test_the_default_bundles_card() -> None:
    bundle = Bundle.open()
    text = "\n".join(card(bundle, "in the package"))
    for what in (
        f"{bundle.rate:.4e} muons per proton",
        bundle.sha256,
        "protons on target",
        f"target      {bundle.provenance['sample']['sources'][0]['provenance']['target']['name']}: ",
        "not for     - background estimates of the experiment",
        f"muons below {bundle.energy_cut:.4g} GeV",
        "tracking through the absorber below 15 GeV",
    ):
        assert what in text
    assert "None" not in text


def test_tails_that_are_not_known_are_named(bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    known = {"train": 1e-3, "train_error": 3e-5, "spread": 4e-5}
    unknown = {"train": 1e-5, "train_error": 3e-6, "spread": 4e-6}
    quantities = {"p > 60 GeV": known, "pT > 2.5 GeV": unknown, "damaged": {"train": "a"}}
    edit_index(folder, lambda index: index["categories"][1].update(uncertainty={"quantities": quantities}))
    text = "\n".join(card(Bundle.open(folder), "here"))
    assert "- pT > 2.5 GeV: the networks know it to 50 % only" in text
    assert text.count("the networks know it") == 1


def test_cards_of_bundles_that_say_little(bundle: Bundle) -> None:
    text = "\n".join(card(bundle, "here"))
    assert "sample      not stated" in text
    assert "anything that depends on what it learnt from" in text
