"""`shipgen produce` as its users run it: one process a command, the file read by uproot and by ROOT."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from shipgen.categories import CATEGORIES
from shipgen.checks import bytes_per_muon, check_space
from shipgen.cli import run
from shipgen.errors import BundleError, DeviceError, InputError
from shipgen.generator import MuonGenerator
from shipgen.layouts import MUONBACK, RNTUPLE, TTREE
from shipgen.plan import CHUNK_SIZE, Plan
from shipgen.produce import produce
from shipgen.production import Production

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.bundle import Bundle

    Run = Callable[..., subprocess.CompletedProcess[str]]

N = 400_000


def read(path: Path) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = uproot.open(path)["pythia8-Geant4"].arrays(library="np")
    return columns


def provenance(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(str(uproot.open(path)["shipgen"]))
    return content


@pytest.fixture(scope="module")
def produced(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("produced")
    process = start(bundle, folder, "--n", "4e5")
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    return folder / "out.root"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in an empty folder as `shipgen` does, but in this process: no time for imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["shipgen", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        code = run(words[1:])
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return call


def test_both_charges_and_origins_in_the_bundles_ratio(produced: Path, bundle: Bundle) -> None:
    columns = read(produced)
    on_axis = (columns["x"] == 0) & (columns["y"] == 0)
    for category, entry in zip(CATEGORIES, bundle.entries, strict=True):
        count = int(((columns["id"] == category.pdg) & (on_axis == category.on_axis)).sum())
        expected = N * entry.rate / bundle.rate
        assert abs(count - expected) < 5 * np.sqrt(expected)
        assert provenance(produced)["counts"][category.name] == count


def test_file_states_its_normalisation(produced: Path, bundle: Bundle) -> None:
    columns, facts = read(produced), provenance(produced)
    assert facts["pot"] == pytest.approx(N / bundle.rate)
    assert columns["w"].sum(dtype=float) == facts["sum_of_weights"] == len(columns["w"])
    # Poisson around the expected number for the stated POT.
    assert abs(facts["sum_of_weights"] - facts["pot"] * bundle.rate) < 5 * np.sqrt(N)
    assert facts["bundle"]["sha256"] == bundle.sha256
    assert facts["seed"] == 1
    assert facts["command"].startswith("shipgen produce -o out.root --seed 1")
    assert facts["command"].endswith(" --n 4e5")
    summary = json.loads(str(uproot.open(produced)["FileSummary"]))
    assert summary == {"PoT": facts["pot"], "EnergyCut": 10.0, "prodSite": "shipgen"}


def test_root_reads_it_as_fairship_does(produced: Path) -> None:
    program = Path(__file__).with_name("read_like_fairship.py")
    done = subprocess.run(
        [sys.executable, program, produced], capture_output=True, text=True, check=True, timeout=120
    )
    found = json.loads(done.stdout)
    columns = read(produced)
    assert found["class"] == "TTree"
    assert found["leaves"] <= 16
    assert found["entries"] == len(columns["id"])
    assert set(found["status"].values()) == {0}
    assert found["sum_of_weights"] == len(columns["w"])
    assert found["summary"]["EnergyCut"] == 10
    expected = np.stack([columns[name][:: found["step"]] for name in found["status"]], axis=1)
    np.testing.assert_array_equal(np.array(found["rows"], np.float32), expected)


def test_same_command_same_muons(inside: Run, bundle: Bundle, tmp_path: Path, produced: Path) -> None:
    options = ("produce", "--n", "4e5", "--bundle", bundle.path)
    inside(*options, "-o", "again.root", "--seed", 1, "--workers", 1)
    inside(*options, "-o", "other.root", "--seed", 2)
    first, again, other = (
        read(path) for path in (produced, tmp_path / "again.root", tmp_path / "other.root")
    )
    for name, column in first.items():
        np.testing.assert_array_equal(again[name], column)
    assert not np.array_equal(first["pz"][:1000], other["pz"][:1000])


def test_exact_and_pot(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    done = inside("produce", "--pot", "1e8", "--exact", "-o", "o.root", "--seed", 4, "--bundle", bundle.path)
    assert done.returncode == 0
    assert len(read(tmp_path / "o.root")["id"]) == round(1e8 * bundle.rate)
    assert provenance(tmp_path / "o.root")["pot"] == 1e8


def test_a_drawn_seed_is_printed_and_reproduces(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    done = inside("produce", "--n", 1000, "-o", "a.root", "--bundle", bundle.path)
    seed = provenance(tmp_path / "a.root")["seed"]
    assert f"seed {seed}" in done.stdout
    inside("produce", "--n", 1000, "-o", "b.root", "--bundle", bundle.path, "--seed", seed)
    np.testing.assert_array_equal(read(tmp_path / "a.root")["pz"], read(tmp_path / "b.root")["pz"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--n", "0"], 2, "'0' is not above zero"),
        (["--n", "-5"], 2, "'-5' is not above zero"),
        (["--n", "1e9.5"], 2, "'1e9.5' is not a number"),
        (["--n", "2.5"], 2, "'2.5' is not a whole number"),
        (["--n", "nan"], 2, "'nan' is not a whole number"),
        (["--pot", "-1"], 2, "'-1' is not a finite number above zero"),
        ([], 2, "say how much"),
        (["--n", "10", "--pot", "1e9"], 2, "say how much"),
        (["--n", "10", "--seed", "-1"], 2, "-1 is not in the range"),
        (["--n", "10", "--bundle", "nowhere"], 4, "nowhere is no bundle"),
        (["--n", "10", "-o", "no/out.root"], 3, "does not exist"),
        (["--n", "10", "--compression", "zip"], 3, "no compression 'zip'"),
        (["--n", "10", "--layout", "flat"], 2, "'flat' is not one of 'muonback'"),
        (["--n", "10", "--device", "tpu"], 2, "'tpu' is not one of"),
        (["--n", "10", "--max-per-file", "0"], 2, "'0' is not above zero"),
        (["--pot", "10"], 3, "ask for more"),
        (["--n", "1e14"], 3, "ask for less, or choose another disk"),
        (["--pot", "1e40"], 3, "are more than 1e+15"),
    ],
)
def test_bad_input_is_one_line(
    inside: Run, bundle: Bundle, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = inside("produce", "-o", "out.root", "--bundle", bundle.path, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_no_muon_drawn(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Some seed draws no muon around 1; a file without entries would stop FairShip's reader."""
    seed = next(seed for seed in range(100) if not Plan.make((1.0,), n=1, seed=seed).total)
    for options in ((), ("--resume",), ("--resume", "--max-per-file", 10)):
        request = ("produce", "--n", 1, "-o", "out.root", "--seed", seed, "--bundle", bundle.path)
        done = inside(*request, *options)
        assert done.returncode == 3
        assert "gave no muon" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_without_force(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out.root").write_text("mine")
    options = ("produce", "--n", 1000, "-o", "out.root", "--seed", 1, "--bundle", bundle.path)
    for resume in ((), ("--resume",)):
        done = inside(*options, *resume)
        assert done.returncode == 3
        assert "--force" in done.stderr
    assert (tmp_path / "out.root").read_text() == "mine"
    assert inside(*options, "--force").returncode == 0
    assert len(read(tmp_path / "out.root")["id"]) > 900


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


def assert_same(one: Path, other: Path) -> None:
    first, second = read(one), read(other)
    for name, column in first.items():
        np.testing.assert_array_equal(second[name], column)
    facts = [provenance(path) for path in (one, other)]
    for content in facts:
        del content["command"]
    assert facts[0] == facts[1]


#: `shipgen` that sends itself a signal in place of writing one more cluster than the given number.
STOPPED = """
import os, sys
from shipgen.cli import main
from shipgen.production import Production
append, (signal, left) = Production.append, map(int, sys.argv.pop(1).split(","))
def stopped(self, part):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal)
    append(self, part)
Production.append = stopped
main()
"""


def start(
    bundle: Bundle, folder: Path, *options: object, stop: tuple[signal.Signals, int] | None = None
) -> subprocess.Popen[str]:
    """Start a production; with `stop` it gets that signal when it has written so many clusters."""
    command = ["produce", "-o", "out.root", "--seed", "1", "--bundle", str(bundle.path), *map(str, options)]
    program = ["-m", "shipgen"] if stop is None else ["-c", STOPPED, f"{int(stop[0])},{stop[1]}"]
    return subprocess.Popen(
        [sys.executable, *program, *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(bundle: Bundle, tmp_path: Path, kind: signal.Signals) -> None:
    process = start(bundle, tmp_path, "--n", "3e6", stop=(kind, 2))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.count("\n") == 1
    assert "interrupted; 524,288 of " in error
    assert "muons are kept in out.root.work: go on by --resume" in error
    assert [path.name for path in tmp_path.iterdir()] == ["out.root.work"]


def killed(bundle: Bundle, folder: Path, clusters: int, *options: object) -> None:
    """Run a production that is killed when it has written so many clusters."""
    process = start(bundle, folder, *options, stop=(signal.SIGKILL, clusters))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_force_begins_anew(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    killed(bundle, tmp_path, 1, "--n", "3e6")
    done = inside("produce", "--n", 1000, "-o", "out.root", "--bundle", bundle.path, "--force")
    assert done.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]


@pytest.mark.parametrize(("workers", "layout"), [(1, "muonback"), (2, "muonback"), (4, "rntuple")])
def test_killed_and_resumed(bundle: Bundle, tmp_path: Path, workers: int, layout: str) -> None:
    """A run killed again and again ends with the file that an uninterrupted one writes."""
    options = ("--n", "1.2e6", "--layout", layout, "--workers", workers)
    whole = start(bundle, tmp_path, *options)
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
        columns = [uproot.open(path)["muons"].arrays() for path in sorted(tmp_path.glob("*.root"))]
        for name in columns[0].fields:
            np.testing.assert_array_equal(columns[0][name].to_numpy(), columns[1][name].to_numpy())


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
    (tmp_path / "out_000.root").unlink()
    process = start(bundle, tmp_path, *options, "--resume")
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    (tmp_path / "out_000.root").write_bytes(first)
    whole = MuonGenerator(bundle, n=2e6, seed=1)
    pz = np.concatenate([batch.pz for batch in whole])
    found = [read(path)["pz"] for path in sorted(tmp_path.glob("out_*.root"))]
    np.testing.assert_array_equal(np.concatenate(found), pz)


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
    (tmp_path / "out_001.root").unlink()
    assert inside(*request, "--max-per-file", 3000, "--seed", 1, "--resume").returncode == 3


def test_names_of_the_bookkeeping_are_names_like_others(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    for name in ("journal", "lock", "work.json"):
        done = inside("produce", "--n", 1000, "-o", name, "--seed", 1, "--bundle", bundle.path)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(read(tmp_path / name)["id"]) > 900


def test_uncompressed_rntuple(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Of several chunks a worker, whose memory is used again."""
    options = ("--n", "1.5e6", "--layout", "rntuple", "--compression", "none", "--workers", 2)
    done = inside("produce", "-o", "n.root", "--seed", 1, "--bundle", bundle.path, *options)
    assert (done.returncode, done.stderr) == (0, "")
    columns = uproot.open(tmp_path / "n.root")["muons"].arrays(library="np")
    batches = list(MuonGenerator(bundle, n=1.5e6, seed=1))
    for name in ("pdg", "x", "y", "px", "py", "pz", "weight"):
        np.testing.assert_array_equal(columns[name], np.concatenate([getattr(b, name) for b in batches]))


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
    encode = Production.encode

    def fail(self: Production, chunk: Any, batch: Any) -> Any:
        if chunk.index == number:
            raise error
        return encode(self, chunk, batch)

    monkeypatch.setattr(Production, "encode", fail)
    text = "fewer --workers" if isinstance(error, MemoryError) else "no kernel"
    kept = "; 262,144 of .* muons are kept in out.root.work: go on by --resume" if number else ""
    with pytest.raises(type(error), match=f"^{text}[a-z ]*{kept}$"):
        produce(MuonGenerator(bundle, n=8e5, seed=1, workers=2), tmp_path / "out.root")
    assert [path.name for path in tmp_path.iterdir()] == ["out.root.work"] * number


def test_lack_of_memory_is_one_line(
    inside: Run, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Production, "encode", fail)
    done = inside("produce", "--n", 1000, "-o", "out.root", "--bundle", bundle.path)
    assert (done.returncode, done.stderr) == (1, "shipgen: not enough memory: fewer --workers take less\n")
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
    monkeypatch.setattr("shipgen.checks.shutil.disk_usage", usage)
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


@pytest.mark.parametrize("layout", [MUONBACK, TTREE, RNTUPLE], ids=lambda layout: layout.name)
def test_size_of_a_file_is_foreseen(bundle: Bundle, tmp_path: Path, layout: Any) -> None:
    generator = MuonGenerator(bundle, n=262_144, seed=1)
    for number, compression in enumerate(("none", "lz4:1", "zstd:1")):
        path = tmp_path / f"{number}.root"
        produce(generator, path, layout=layout, compression=compression)
        found = path.stat().st_size / generator.plan.total
        # Other networks' muons compress a little worse or better.
        assert found == pytest.approx(bytes_per_muon(layout, compression), rel=0.25)


ROOT_PROGRAM = """
import ROOT
ROOT.EnableImplicitMT(2)
layouts = ("pythia8-Geant4", "out.root", "id", "w"), ("muons", "n.root", "pdg", "weight")
for tree, file, pdg, weight in layouts:
    frame = ROOT.RDataFrame(tree, file)
    found = [frame.Count(), frame.Sum(weight), frame.Sum(pdg), frame.Mean("pz")]
    print(*[value.GetValue() for value in found])
file = ROOT.TFile.Open("out.root")
print(file.Get("pythia8-Geant4").GetAutoFlush())
"""


def test_both_layouts_are_read_by_uproot_and_by_roots_threads(
    inside: Run, bundle: Bundle, tmp_path: Path, produced: Path
) -> None:
    options = ("produce", "--n", "4e5", "--seed", 1, "--bundle", bundle.path)
    inside(*options, "-o", "n.root", "--layout", "rntuple", "--compression", "lz4:1")
    (tmp_path / "out.root").symlink_to(produced)
    with uproot.open(tmp_path / "n.root") as file:
        assert file.classnames(cycle=False)["muons"] == "ROOT::RNTuple"
        columns = file["muons"].arrays(library="np")
    batches = list(MuonGenerator(bundle, n=4e5, seed=1))
    for name in ("pdg", "x", "px", "pz"):
        np.testing.assert_array_equal(columns[name], np.concatenate([getattr(b, name) for b in batches]))
    np.testing.assert_array_equal(columns["pz"], read(produced)["pz"])
    z = np.concatenate([batch.z for batch in batches])
    np.testing.assert_allclose(columns["z"], z - bundle.target_start, atol=1e-3)
    done = subprocess.run(
        [sys.executable, "-c", ROOT_PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=120,
    )
    n, pz = len(columns["pdg"]), columns["pz"].mean(dtype=float)
    expected = [n, n, columns["pdg"].sum(), pytest.approx(pz, rel=1e-9)]
    *frames, cluster = done.stdout.splitlines()
    for line in frames:
        assert [float(word) for word in line.split()] == expected
    # ROOT's threads share the work by whole clusters.
    assert int(cluster) == CHUNK_SIZE
