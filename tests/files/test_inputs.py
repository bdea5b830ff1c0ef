"""Which files are meant: lists, globs, what is left out, and root:// addresses."""

from __future__ import annotations

import errno
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from helpers.muon_files import muon_columns, write_training
from shipgen.cli import run
from shipgen.errors import InputError, MissingExtraError
from shipgen.files.inputs import expand, take_out
from shipgen.muons.categories import CATEGORIES
from shipgen_export.reading.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def samples(tmp_path: Path) -> list[Path]:
    return [
        write_training(tmp_path / f"s{number}.root", muon_columns(600, seed=number), seed=number)
        for number in range(4)
    ]


def test_files_that_are_meant(tmp_path: Path) -> None:
    for name in ("b1.root", "a1.root", "c.root", "[x].root"):
        (tmp_path / name).touch()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a1.root").touch()
    (tmp_path / "list.txt").write_text(
        f"# a list\n{tmp_path}/c.root  # last\n\n{tmp_path}/?1.root\nroot://h//p/x.root\n"
    )

    def names(*patterns: str) -> list[str]:
        found = expand([str(tmp_path / pattern) for pattern in patterns])
        return [str(item).replace(f"{tmp_path}/", "") for item in found]

    assert names("c.root", "?1.root") == ["c.root", "a1.root", "b1.root"]
    assert names("[x].root") == ["[x].root"]
    assert names("**/a1.root") == ["a1.root", "deep/er/a1.root"]
    assert names("list.txt") == ["c.root", "a1.root", "b1.root", "root://h//p/x.root"]
    assert expand(["root://h//p/x.root"]) == ["root://h//p/x.root"]
    with pytest.raises(InputError, match=r"no file matches .*/z\*\.root"):
        names("z*.root")
    with pytest.raises(InputError, match=r"the list .*none\.txt cannot be read"):
        names("none.txt")


def test_what_is_left_out(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "x.root", tmp_path / "b" / "x.root", "root://h//p/charm_9.root"]
    kept, out, notes = take_out(files, ["charm_*", f"{tmp_path}/b/*", "gone.root"])
    assert kept == files[:1]
    assert out == [{"name": "x.root", "entry": "*"}, {"name": "charm_9.root", "entry": "charm_*"}]
    assert notes == ["'gone.root' is to be left out, but names no file"]
    with pytest.raises(InputError, match="all 3 files are left out"):
        take_out(files, ["*"])


@pytest.mark.parametrize("entry", ["./x.root", "b/../a/x.root", "../{folder}/a/x.root", "{path}"])
def test_however_an_entry_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.chdir(tmp_path)
    files = [Path("a/x.root"), Path("other.root")]
    pattern = entry.format(folder=tmp_path.name, path=tmp_path / "a" / "x.root")
    assert take_out(files, [pattern])[0] == files[1:]
    absolute = [tmp_path / file for file in files]
    assert take_out(absolute, [pattern])[0] == absolute[1:]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "list.txt names no file: it is empty, or has comments only"),
        ("# s0.root\n", "list.txt names no file: it is empty, or has comments only"),
        ("s0.root\nlist.txt\n", "the list list.txt names itself: take that line out"),
        (
            "s0.root\n./more.txt\n",
            "the list list.txt names itself: take that line out (named in the list more",
        ),
        (
            "s0.root\nmuon*.root\n",
            "no file matches muon*.root: check the folder and the pattern (named in the",
        ),
        (
            "s0.root\ngone.root\n",
            "gone.root does not exist: give a ROOT file or arrays (named in the list list.txt)",
        ),
    ],
)
def test_lists_that_cannot_be_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    samples: list[Path],
    lines: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text(lines)
    Path("more.txt").write_text("s1.root\nlist.txt\n")
    assert samples[0].is_file()
    assert run(["prepare", "list.txt", "-o", "out"]) == InputError.exit_code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_names_in_a_list_are_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lists").mkdir()
    Path("lists/all.txt").write_text("deep/x.root\n")
    assert expand(["lists/all.txt"]) == [Path("deep/x.root")]


@pytest.mark.parametrize("scheme", ["s3", "nowhere"])
@pytest.mark.parametrize("name", ["a.root", "*.root"])
def test_other_addresses(tmp_path: Path, scheme: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if scheme == "s3" and find_spec("s3fs"):
        pytest.skip("s3fs is installed")
    assert run(["prepare", f"{scheme}://bucket/{name}", "-o", str(tmp_path / "out")]) == InputError.exit_code
    error = capsys.readouterr().err
    assert f"{scheme}://bucket/{name} " in error
    assert len(error.splitlines()) == 1


def test_odd_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is neither a file nor a folder: give a ROOT file or arrays"):
        prepare([tmp_path / "pipe"], tmp_path / "out")
    for name in ("", " "):
        with pytest.raises(InputError, match="an empty name is no file: is a variable of the command empty"):
            prepare([name], tmp_path / "out")
    (tmp_path / "f.root").touch()

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # Not by its mode: root reads whatever it says.
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match=r"f\.root cannot be read: Permission denied"):
        prepare([tmp_path / "f.root"], tmp_path / "out")


class XRootD(MemoryFileSystem):
    """Files in memory that answer to root:// addresses."""

    protocol = "root"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the base class
    pseudo_dirs = [""]  # noqa: RUF012 - as in the base class

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        bare = "/" + path.split("://", 1)[-1].partition("//")[2] if "://" in path else path
        return bare.rstrip("/")

    def unstrip_protocol(self, name: str) -> str:
        return f"root://host/{self._strip_protocol(name)}"


@pytest.fixture
def remote(samples: list[Path]) -> Iterator[list[str]]:
    fsspec.register_implementation("root", XRootD, clobber=True)
    system = fsspec.filesystem("root")
    for path in samples:
        system.pipe(f"/data/{path.name}", path.read_bytes())
    yield [f"root://host//data/{path.name}" for path in samples]
    XRootD.store.clear()
    sys.modules["fsspec.registry"]._registry.pop("root")  # type: ignore[attr-defined]


def test_root_addresses(tmp_path: Path, samples: list[Path], remote: list[str]) -> None:
    local = prepare(samples, tmp_path / "local", cores=1)
    sample = prepare(remote, tmp_path / "remote", cores=1)
    for category in CATEGORIES:
        name = category.name
        assert sample.index["categories"][name] == local.index["categories"][name]
    assert [source["sha256"] for source in sample.index["sources"]] == [None] * 4
    assert [source["name"] for source in sample.index["sources"]] == [path.name for path in samples]
    assert "host" not in json.dumps(sample.index)
    assert prepare(["root://host//data/s*.root"], tmp_path / "glob", cores=1).index == sample.index
    with pytest.raises(InputError, match=r"s0\.root and root://host//data/s0\.root are the same file"):
        prepare([samples[0], remote[0]], tmp_path / "twice")
    with pytest.raises(InputError, match=r"root://host//data/none\.root cannot be opened"):
        prepare(["root://host//data/none.root"], tmp_path / "none")
    with pytest.raises(InputError, match=r"no file matches root://host//data/x\*\.root"):
        prepare(["root://host//data/x*.root"], tmp_path / "none")
    fsspec.filesystem("root").pipe("/data/half.root", samples[0].read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"root://host//data/half\.root (is damaged|cannot be opened)"):
        prepare(["root://host//data/half.root"], tmp_path / "none")


@pytest.mark.skipif(find_spec("fsspec_xrootd") is not None, reason="fsspec-xrootd is installed")
@pytest.mark.parametrize("url", ["root://host//data/a.root", "root://host//data/*.root"])
def test_root_addresses_need_their_extra(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["prepare", url, "-o", str(tmp_path / "out")]) == MissingExtraError.exit_code
    error = capsys.readouterr().err
    assert f"reading {url} needs fsspec-xrootd: install shipgen with its extra 'xrootd'" in error
    assert len(error.splitlines()) == 1
