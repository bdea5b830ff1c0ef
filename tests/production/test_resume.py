"""`shipgen produce` stopped and resumed: full disks, signals, kills, other runs, files of a split."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.production_runs import produced_file, provenance, read, run_inside, start  # noqa: F401
from shipgen.errors import BundleError, DeviceError, InputError
from shipgen.files.layouts import MUONBACK, RNTUPLE
from shipgen.generate.generator import MuonGenerator
from shipgen.production.output_files import PartEncoder, Production
from shipgen.production.preflight import bytes_per_muon, check_space
from shipgen.production.produce import produce

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle


def assert_same(one: Path, other: Path) -> None:
    first, second = read(one), read(other)
    for name, column in first.items():
        np.testing.assert_array_equal(second[name], column)
    facts = [provenance(path) for path in (one, other)]
    for content in facts:
        # The seal covers when the file was written.
        del content["command"], content["seal"]
    assert facts[0] == facts[1]


def wait_for_clusters(folder: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Wait until an unfinished production has so many clusters on disk, or has ended."""
    journal = folder / "out.root.work" / "journal"
    deadline = time.monotonic() + 60
    while process.poll() is None:
        # It goes when the run ends; the first line is the key.
        with contextlib.suppress(FileNotFoundError):
            if journal.read_text().count("\n") > number:
                return
        assert time.monotonic() < deadline
        time.sleep(0.005)


def killed(bundle: Bundle, folder: Path, clusters: int, *options: object) -> None:
    """Run a production that is killed when it has written so many clusters."""
    process = start(bundle, folder, *options, stop=(signal.SIGKILL, clusters))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def damaged(path: Path) -> bytes:
    """Return what is in a file, with one bit of a muon changed."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    return bytes(data)


def test_full_disk(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    """One clear line; with space made, the run goes on where it stopped."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, 8_000_000))

    options = ("produce", "--n", "6e5", "-o", "out.root", "--bundle", bundle.path, "--seed", 1)
    done = shipgen(*options, preexec_fn=limit)
    assert done.returncode == 6
    assert "no space left while writing out.root" in done.stderr
    assert "262,144 of " in done.stderr
    assert "--resume" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.root.work"]

    refused = shipgen(*options)
    assert refused.returncode == 3
    assert "was begun and not completed: --resume goes on, --force begins anew" in refused.stderr
    other = shipgen(*options, "--seed", 2, "--resume")
    assert other.returncode == 3
    assert "unfinished work with seed 1, but 2 is asked for" in other.stderr

    resumed = shipgen(*options[:-2], "--resume")  # the seed is the interrupted run's
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "262,144 muons were there from the interrupted run" in resumed.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]
    shipgen(*options[:3], "-o", "whole.root", *options[5:])
    assert_same(tmp_path / "out.root", tmp_path / "whole.root")


def test_full_disk_at_the_start_leaves_nothing(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = shipgen("produce", "--n", "1e6", "-o", "out.root", "--bundle", bundle.path, preexec_fn=limit)
    assert done.returncode == 6
    assert "no space left while writing out.root" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_room_on_disk(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written needs no more; neither where files went, nor a link's own folder, decides."""
    disk = {}

    def usage(folder: Path) -> Any:
        asked.append(folder)
        return SimpleNamespace(free=disk["free"])

    asked: list[Path] = []
    other = tmp_path / "other"
    other.mkdir()
    killed(bundle, other, 10, "--n", "2e6", "--max-per-file", "3e5")
    (tmp_path / "link.root").symlink_to(other / "out.root")
    total = MuonGenerator(bundle, n=2e6, seed=1).plan.total
    left = total - 5 * 300_000
    need = left * bytes_per_muon(MUONBACK, "zstd:1")
    monkeypatch.setattr("shipgen.production.preflight.shutil.disk_usage", usage)
    for path in (other / "out.root", tmp_path / "link.root"):
        disk["free"] = need
        assert check_space(path, total, MUONBACK, "zstd:1", resume=True) is None
        disk["free"] = 0.9 * need
        warning = check_space(path, total, MUONBACK, "zstd:1", resume=True)
        assert warning is not None
        disk["free"] = 0.4 * need
        with pytest.raises(InputError, match="ask for less, or choose another disk"):
            check_space(path, total, MUONBACK, "zstd:1", resume=True)
    assert set(asked) == {other}


#: Chunks enough for six workers to be processes.
MANY = "6.6e6"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (signal.SIGINT, ("--n", "3e6")),
        (signal.SIGTERM, ("--n", "3e6")),
        (signal.SIGINT, ("--n", MANY, "--workers", 6)),
        (signal.SIGTERM, ("--n", MANY, "--workers", 6)),
    ],
)
def test_interrupted(
    bundle: Bundle, tmp_path: Path, kind: signal.Signals, options: tuple[object, ...]
) -> None:
    process = start(bundle, tmp_path, *options, stop=(kind, 2))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.count("\n") == 1
    assert "interrupted; 524,288 of " in error
    assert "muons are kept in out.root.work: go on by --resume" in error
    assert [path.name for path in tmp_path.iterdir()] == ["out.root.work"]


def test_force_begins_anew(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    killed(bundle, tmp_path, 1, "--n", "3e6")
    done = inside("produce", "--n", 1000, "-o", "out.root", "--bundle", bundle.path, "--force")
    assert done.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]


@pytest.mark.parametrize(
    ("n", "workers", "layout"),
    [("1.2e6", 1, "muonback"), ("1.2e6", 2, "muonback"), ("1.2e6", 4, "rntuple"), (MANY, 6, "muonback")],
)
def test_killed_and_resumed(bundle: Bundle, tmp_path: Path, n: str, workers: int, layout: str) -> None:
    """A run killed again and again ends with the file that an uninterrupted one writes, by threads alone."""
    options = ("--n", n, "--layout", layout, "--workers", workers)
    whole = start(bundle, tmp_path, *options[:-1], min(workers, 4))
    whole.communicate(timeout=120)
    (tmp_path / "out.root").rename(tmp_path / "whole.root")
    rng = np.random.default_rng(workers)
    killed(bundle, tmp_path, 1, *options)
    for goal in (2, 4):
        process = start(bundle, tmp_path, *options, "--resume")
        wait_for_clusters(tmp_path, goal, process)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.communicate()
    process = start(bundle, tmp_path, *options, "--resume")
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.root", "whole.root"]
    if layout == "muonback":
        assert_same(tmp_path / "out.root", tmp_path / "whole.root")
    else:
        columns = [uproot.open(path)[RNTUPLE.tree].arrays() for path in sorted(tmp_path.glob("*.root"))]
        for name in columns[0].fields:
            np.testing.assert_array_equal(columns[0][name].to_numpy(), columns[1][name].to_numpy())


@pytest.mark.parametrize("options", [(), ("--resume",), ("--force",)])
def test_what_a_kill_left_of_the_work_goes_with_the_next_run(
    inside: Run, bundle: Bundle, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A run that is killed while it removes its folder has given the file its name already."""
    request = ("produce", "--n", 1000, "--seed", 1, "-o", "out.root", "--bundle", bundle.path)
    assert inside(*request).returncode == 0
    before = (tmp_path / "out.root").read_bytes()
    old = tmp_path / "out.root.work.old"
    old.mkdir()
    (old / "journal").write_text("half")
    done = inside(*request, *options)
    assert done.returncode == (0 if options else 3)
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]
    if "--force" not in options:
        assert (tmp_path / "out.root").read_bytes() == before


def test_work_of_an_unknown_production_is_not_used(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Without its key the clusters on disk could be of any seed; the journal knows of which."""
    killed(bundle, tmp_path, 2, "--n", "8e5")
    (tmp_path / "out.root.work" / "work.json").unlink()
    request = ("produce", "--n", "8e5", "-o", "out.root", "--bundle", bundle.path, "--seed", 2)
    done = inside(*request, "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert "interrupted run" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]
    pz = np.concatenate([batch.pz for batch in MuonGenerator(bundle, n=8e5, seed=2)])
    np.testing.assert_array_equal(read(tmp_path / "out.root")["pz"], pz)


def test_work_of_an_earlier_version_is_not_taken_for_damage(
    inside: Run, bundle: Bundle, tmp_path: Path
) -> None:
    """It has no checksum; that it is of another seed is said, and it stays."""
    killed(bundle, tmp_path, 2, "--n", "8e5")
    index = tmp_path / "out.root.work" / "work.json"
    content = json.loads(index.read_text())
    del content["checksum"]
    index.write_text(json.dumps(content))
    request = ("produce", "--n", "8e5", "-o", "out.root", "--bundle", bundle.path, "--resume")
    other = inside(*request, "--seed", content["seed"] + 1)
    assert other.returncode == 3
    assert f"holds unfinished work with seed {content['seed']}" in other.stderr
    assert (tmp_path / "out.root.work" / "journal").is_file()
    same = inside(*request, "--seed", content["seed"])
    assert same.returncode == 0, same.stderr
    assert not index.exists()


def test_damaged_work_of_another_seed_stays(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Its journal knows of which seed it is, and where that is damaged as well, nobody does."""
    killed(bundle, tmp_path, 2, "--n", "8e5")
    work = tmp_path / "out.root.work"
    whole = {name: (work / name).read_bytes() for name in ("work.json", "journal")}
    (work / "work.json").write_bytes(whole["work.json"].replace(b"seed", b"sead"))
    request = ("produce", "--n", "8e5", "-o", "out.root", "--bundle", bundle.path, "--resume", "--seed")
    before = {path: path.read_bytes() for path in work.iterdir()}
    done = inside(*request, 2)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "out.root.work holds unfinished work with seed 1, but 2 is asked for" in done.stderr
    assert {path: path.read_bytes() for path in work.iterdir()} == before
    (work / "journal").write_bytes(whole["journal"].replace(b"seed", b"sead"))
    done = inside(*request, 1)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "nobody can tell which muons are in out.root.work: remove that folder" in done.stderr
    (work / "journal").write_bytes(whole["journal"])
    assert {path: path.read_bytes() for path in work.iterdir()} == before
    done = inside(*request, 1)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "out.root.work/work.json is damaged: only what the journal tells is used" in done.stderr
    assert "muons were there from the interrupted run" in done.stdout


def test_a_complete_production_is_told_and_left_alone(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """So a batch script can repeat its command; for anything else the file is in the way."""
    request = ("produce", "--n", "1e4", "-o", "out.root", "--bundle", bundle.path)
    for split in ((), ("--max-per-file", 3000)):
        begun = inside(*request, *split, "--seed", 1, "--resume")
        assert (begun.returncode, begun.stderr) == (0, "")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        for seed in (("--seed", 1), ()):
            done = inside(*request, *split, *seed, "--resume")
            assert (done.returncode, done.stderr) == (0, "")
            assert "is complete: " in done.stdout
        others = (("--seed", 2), ("--n", "2e4"), ("--exact",), ("--layout", "ttree"))
        for other in others:
            done = inside(*request, *split, "--seed", 1, "--resume", *other)
            assert done.returncode == 3
            assert "exists: choose another name" in done.stderr or "seem to be of" in done.stderr
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    path = tmp_path / "out_001.root"
    path.write_bytes(damaged(path))
    done = inside(*request, "--max-per-file", 3000, "--seed", 1, "--resume")
    assert (done.returncode, done.stdout) == (3, "")
    assert "out_001.root is damaged" in done.stderr
    path.unlink()
    assert inside(*request, "--max-per-file", 3000, "--seed", 1, "--resume").returncode == 3


def test_another_run_is_told_before_resume(bundle: Bundle, tmp_path: Path, inside: Run) -> None:
    generator = MuonGenerator(bundle, n=1000, seed=1)
    seen = []

    def ask(*_: object) -> None:
        seen.append(inside("produce", "--n", 1000, "-o", "out.root", "--bundle", bundle.path))
        raise InputError("enough")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Production, "append", ask)
        with pytest.raises(InputError, match="enough"):
            produce(generator, tmp_path / "out.root")
    assert seen[0].returncode == 3
    assert "another run is writing out.root" in seen[0].stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "error", [BundleError("no kernel"), DeviceError("no kernel"), MemoryError(), InputError("no kernel")]
)
def test_a_failure_in_a_worker_says_what_is_kept(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, number: int
) -> None:
    encode = PartEncoder.__call__

    def fail(self: PartEncoder, chunk: Any, batch: Any) -> Any:
        if chunk.index == number:
            raise error
        return encode(self, chunk, batch)

    monkeypatch.setattr(PartEncoder, "__call__", fail)
    text = "fewer --workers" if isinstance(error, MemoryError) else "no kernel"
    kept = "; 262,144 of .* muons are kept in out.root.work: go on by --resume" if number else ""
    with pytest.raises(type(error), match=f"^{text}[a-z ]*{kept}$"):
        produce(MuonGenerator(bundle, n=8e5, seed=1, workers=2), tmp_path / "out.root")
    assert [path.name for path in tmp_path.iterdir()] == ["out.root.work"] * number


def test_split_into_files(inside: Run, bundle: Bundle, tmp_path: Path, produced: Path) -> None:
    options = ("produce", "--n", "4e5", "--seed", 1, "--bundle", bundle.path)
    done = inside(*options, "-o", "part.root", "--max-per-file", "1.5e5")
    assert (done.returncode, done.stderr) == (0, "")
    paths = [tmp_path / f"part_00{number}.root" for number in range(3)]
    whole = read(produced)
    total = len(whole["id"])
    assert sorted(tmp_path.glob("part*")) == paths
    parts = [read(path) for path in paths]
    assert [len(part["id"]) for part in parts] == [150_000, 150_000, total - 300_000]
    for name, column in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), column)
    facts = [provenance(path) for path in paths]
    assert sum(content["pot"] for content in facts) == pytest.approx(provenance(produced)["pot"])
    assert [content["file"]["number"] for content in facts] == [0, 1, 2]
    counts = [sum(content["counts"][name] for content in facts) for name in facts[0]["counts"]]
    assert counts == list(provenance(produced)["counts"].values())
    again = inside(*options, "-o", "part.root", "--max-per-file", "1.5e5")
    assert again.returncode == 3
    assert "part_000.root exists" in again.stderr

    fewer = (*options, "-o", "part.root", "--max-per-file", "2.5e5", "--force")
    mixed = inside(*fewer)
    assert mixed.returncode == 3
    assert "part_002.root would seem to be of this production, which has 2 files" in mixed.stderr
    assert sorted(tmp_path.glob("*")) == paths
    paths[2].unlink()
    assert inside(*fewer).returncode == 0
    assert [len(read(path)["id"]) for path in paths[:2]] == [250_000, total - 250_000]


def test_split_files_are_resumed(bundle: Bundle, tmp_path: Path) -> None:
    """What is complete stays, and may even have been taken away."""
    options = ("--n", "2e6", "--max-per-file", "3e5")
    killed(bundle, tmp_path, 6, *options)
    done = sorted(path.name for path in tmp_path.glob("out_*.root"))
    # Clusters are cut where files end: 262,144 and 37,856; 224,288 and 75,712; 186,432 and 113,568.
    assert done == ["out_000.root", "out_001.root", "out_002.root"]
    first = (tmp_path / "out_000.root").read_bytes()
    (tmp_path / "out_000.root").write_bytes(damaged(tmp_path / "out_000.root"))
    process = start(bundle, tmp_path, *options, "--resume")
    assert "out_000.root is damaged" in process.communicate(timeout=120)[1]
    assert process.returncode == 3
    (tmp_path / "out_000.root").unlink()
    process = start(bundle, tmp_path, *options, "--resume")
    _, error = process.communicate(timeout=120)
    # Whoever removed it because it was damaged is told that it will be missing.
    told = "out_000.root was complete and is not here any more: it is not made again (--force begins anew)"
    assert (process.returncode, error) == (0, f"shipgen: warning: {told}\n")
    (tmp_path / "out_000.root").write_bytes(first)
    whole = MuonGenerator(bundle, n=2e6, seed=1)
    pz = np.concatenate([batch.pz for batch in whole])
    found = [read(path)["pz"] for path in sorted(tmp_path.glob("out_*.root"))]
    np.testing.assert_array_equal(np.concatenate(found), pz)
