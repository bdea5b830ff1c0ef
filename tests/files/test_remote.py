"""Outputs at addresses: made here, then copied; to fsspec's memory, and by a stand-in for xrdcp."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pytest
import uproot

from helpers.production_runs import run_inside  # noqa: F401
from shipgen.errors import InputError, MissingExtraError, OutputError
from shipgen.files.remote import beside, upload
from shipgen.generate.generator import MuonGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle

N = 3000


@pytest.fixture(name="memory")
def empty_memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def names(system: fsspec.AbstractFileSystem) -> list[str]:
    return sorted(system.store)


def test_shards_at_an_address_are_made_found_and_merged(
    inside: Run, bundle: Bundle, tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    options = ("produce", "--n", N, "--seed", 1, "--bundle", bundle.path, "-o", "memory://store/o.root")
    for number in (1, 2):
        done = inside(*options, "--shard", f"{number}/2")
        assert done.returncode == 0
        assert f"memory://store/o_shard{number}of2.root: " in done.stdout
    # Nothing is left here, nor half a copy there.
    assert list(tmp_path.iterdir()) == []
    assert names(memory) == ["/store/o_shard1of2.root", "/store/o_shard2of2.root"]
    assert "exists: choose another name, or --force" in inside(*options, "--shard", "1/2").stderr
    assert "is complete" in inside(*options, "--shard", "1/2", "--resume").stdout
    assert (
        "is complete" in inside(*options[:3], *options[5:], "--shard", "1/2", "--resume", "--seed", 1).stdout
    )
    other = inside(*options, "--shard", "1/2", "--resume", "--exact")
    assert (other.returncode, "exists" in other.stderr) == (3, True)
    assert inside(*options, "--shard", "1/2", "--force").returncode == 0

    shards = [f"memory://store/o_shard{number}of2.root" for number in (1, 2)]
    assert inside("merge", "all.json", "--list", "--check", *shards).returncode == 0
    assert json.loads((tmp_path / "all.json").read_text())["samples"]["shipgen"]["files"] == shards
    assert inside("merge", "all.root", "all.json").returncode == 0
    with uproot.open(tmp_path / "all.root") as file:
        pz = file["pythia8-Geant4"]["pz"].array(library="np")
    np.testing.assert_array_equal(
        pz, np.concatenate([batch.pz for batch in MuonGenerator(bundle, n=N, seed=1)])
    )


def test_split_files_at_an_address(
    inside: Run, bundle: Bundle, tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    options = (
        "produce",
        "--n",
        N,
        "--bundle",
        bundle.path,
        "-o",
        "memory://s/o.root",
        "--max-per-file",
        1000,
    )
    done = inside(*options, "--seed", 2)
    assert "memory://s/o_000.root to o_003.root" in done.stdout
    assert names(memory) == [f"/s/o_00{number}.root" for number in range(4)]
    assert list(tmp_path.iterdir()) == []
    assert "o_000.root exists" in inside(*options, "--seed", 3).stderr


def test_a_copy_that_fails_is_told(
    inside: Run, bundle: Bundle, tmp_path: Path, memory: fsspec.AbstractFileSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(memory), "mv", full)
    done = inside("produce", "--n", 100, "--bundle", bundle.path, "-o", "memory://s/o.root")
    assert done.returncode == OutputError.exit_code
    assert "writing memory://s/o.root failed (OSError: [Errno 28] No space" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_package_for_xrootd(
    inside: Run, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to install is said before anything is made; or xrdcp copies."""
    monkeypatch.setitem(sys.modules, "fsspec_xrootd", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ("produce", "--n", 100, "--seed", 1, "--bundle", bundle.path, "-o", "root://host//store/o.root")
    done = inside(*options)
    assert done.returncode == MissingExtraError.exit_code
    assert "writing root://host//store/o.root needs fsspec-xrootd: install shipgen with" in done.stderr

    tool = tmp_path / "xrdcp"
    tool.write_text(
        '#!/bin/sh\necho "$@" >> words\nfor url; do file=$last; last=$url; done\ncp "$file" copy\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert inside(*options).returncode == 0
    words = (tmp_path / "words").read_text().split()
    assert words[:4] == ["--nopbar", "--posc", "--cksum", "adler32"]
    assert words[-1] == "root://host//store/o.root"
    with uproot.open(tmp_path / "copy") as file:
        assert file["pythia8-Geant4"].num_entries > 0
    tool.write_text("#!/bin/sh\necho '[ERROR] no such host' >&2\nexit 51\n")
    done = inside(*options)
    assert done.returncode == OutputError.exit_code
    assert "by xrdcp failed: [ERROR] no such host" in done.stderr
    # What is there cannot be read without the package.
    assert inside(*options, "--resume").returncode == MissingExtraError.exit_code


def test_addresses() -> None:
    assert beside("root://host//store/o.root", "p.root") == "root://host//store/p.root"


def test_an_unknown_kind_of_address(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("content")
    with pytest.raises(InputError, match="nowhere://x/f cannot be reached"):
        upload(tmp_path / "f", "nowhere://x/f")
