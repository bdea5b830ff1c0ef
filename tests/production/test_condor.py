"""`shipgen condor`: what it writes, read by the rules of HTCondor's manual and carried out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.production_runs import read, run_inside  # noqa: F401
from shipgen.generate.generator import MuonGenerator
from shipgen.production.condor import quoted

if TYPE_CHECKING:
    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle


def words(arguments: str) -> list[str]:
    """Split arguments in the new syntax, as condor_submit's manual tells it."""
    assert arguments[0] == arguments[-1] == '"'
    text = arguments[1:-1].replace('""', '"')
    found = re.findall(r"(?:[^\s']|'(?:[^']|'')*')+", text)
    return [re.sub(r"'((?:[^']|'')*)'", lambda match: match[1].replace("''", "'"), word) for word in found]


def description(path: Path, **macros: str) -> dict[str, str]:
    """Return a submit description with its macros expanded."""
    *lines, queue = (line for line in path.read_text().splitlines() if not line.startswith("#"))
    assert queue == "queue"
    found = dict(line.split(" = ", 1) for line in lines)
    known = {**macros, "DOLLAR": "$"}
    return {key: re.sub(r"\$\((\w+)\)", lambda m: known[m[1]], text) for key, text in found.items()}


def read_dag(path: Path) -> tuple[dict[str, tuple[str, dict[str, str]]], list[tuple[str, str]], list[str]]:
    """Return nodes (submit file, macros), edges and retried nodes of a DAG."""
    files, macros = {}, {}
    edges, retried = [], []
    for line in path.read_text().splitlines():
        match line.split():
            case ["JOB", node, file]:
                files[node] = file
            case ["VARS", node, text]:
                name, _, value = text.partition("=")
                macros[node] = {name: value.strip('"')}
            case ["RETRY", node, "3", "UNLESS-EXIT", "3"]:
                retried.append(node)
            case ["PARENT", *others]:
                place = others.index("CHILD")
                edges += [(parent, child) for parent in others[:place] for child in others[place + 1 :]]
            case _:
                assert line.startswith("#"), line
    return {node: (file, macros.get(node, {})) for node, file in files.items()}, edges, retried


def carry_out(inside: Run, folder: Path) -> list[str]:
    """Do the jobs of a DAG, each when its parents are done; return their nodes in order."""
    nodes, edges, _ = read_dag(folder / "production.dag")
    done: list[str] = []
    while len(done) < len(nodes):
        # The last that is ready: nothing but the edges says what comes first.
        ready = [
            node
            for node in nodes
            if node not in done and all(parent in done for parent, child in edges if child == node)
        ]
        file, macros = nodes[ready[-1]]
        job = description(folder / file, **macros)
        program, *arguments = job["executable"], *words(job["arguments"])
        assert (program, arguments[:2]) == (sys.executable, ["-m", "shipgen"])
        assert (folder / Path(job["output"]).parent).is_dir()
        assert (job["initialdir"], job["should_transfer_files"]) == (str(folder), "YES")
        ended = inside(*arguments[2:])
        assert ended.returncode == 0, ended.stderr
        done.append(ready[-1])
    return done


def test_the_jobs_make_merge_and_validate_a_production(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    odd = tmp_path / "an odd 'na\"me' $(x)"
    odd.mkdir()
    options = ("--n", "3e5", "--seed", 1, "--bundle", bundle.path, "--exact", "-o", odd / "out.root")
    # All of float32's.
    options += ("--precision", 23)
    inside("produce", "--n", 1000, "--seed", 2, "--bundle", bundle.path, "-o", "reference.root")
    done = inside(
        "condor", odd / "dag", "--shards", 3, *options, "--reference", "reference.root",
        "--validate", "--forms none --no-pictures --region 'p > 15, pt > 1' --level 1e-9 --limit 1000",
        "--line", '+JobFlavour = "workday"',
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 shards of 300,000 muons, seed 1" in done.stdout
    nodes, edges, retried = read_dag(odd / "dag" / "production.dag")
    assert list(nodes) == ["shard1", "shard2", "shard3", "merge", "validate"]
    assert set(edges) == {*((f"shard{n}", "merge") for n in (1, 2, 3)), ("merge", "validate")}
    assert retried == ["shard1", "shard2", "shard3", "merge"]
    for file, macros in nodes.values():
        assert description(odd / "dag" / file, **macros)["+JobFlavour"] == '"workday"'
    assert carry_out(inside, odd / "dag")[-2:] == ["merge", "validate"]
    names = sorted(path.name for path in odd.iterdir())
    assert names == ["dag", "out.root", "out_report", *(f"out_shard{n}of3.root" for n in (1, 2, 3))]
    pz = np.concatenate([batch.pz for batch in MuonGenerator(bundle, n=3e5, seed=1, exact=True)])
    np.testing.assert_array_equal(read(odd / "out.root")["pz"], pz)
    # A node that is tried again finds its shard.
    again = words(description(odd / "dag" / "produce.sub", shard="2")["arguments"])
    assert again[again.index("--precision") + 1] == "23"
    assert "is complete" in inside(*again[2:]).stdout


def test_a_list_in_place_of_a_file(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    options = ("--pot", "2e6", "--seed", 1, "--bundle", bundle.path, "-o", "o.root", "--list", "--shards", 2)
    assert inside("condor", "dag", *options).returncode == 0
    assert sorted(carry_out(inside, tmp_path / "dag")) == ["merge", "shard1", "shard2"]
    manifest = json.loads((tmp_path / "o.json").read_text())
    assert [entry["shard"] for entry in manifest["files"]] == ["1/2", "2/2"]
    assert manifest["pot"] == 2e6
    assert not (tmp_path / "o.root").exists()


def test_outputs_at_an_address(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Jobs ask for room for what they make before they copy it."""
    address = "root://host//store/o.root"
    options = ("--n", "1e9", "--seed", 1, "--bundle", bundle.path, "-o", address, "--shards", 8)
    assert "say --list" in inside("condor", "dag", *options).stderr
    told = inside("condor", "dag", *options, "--list", "--reference", "r.root").stderr
    assert "leave out --reference" in told
    assert inside("condor", "dag", *options, "--list").returncode == 0
    job = description(tmp_path / "dag" / "produce.sub", shard="8")
    assert words(job["arguments"])[-2:] == ["--shard", "8/8"]
    assert address in words(job["arguments"])
    amount, unit = job["request_disk"].split()
    assert (2500 < int(amount) < 3500, unit) == (True, "MB")
    files = (tmp_path / "dag" / "shards.txt").read_text().split()
    assert files == [f"root://host//store/o_shard{number}of8.root" for number in range(1, 9)]
    merging = words(description(tmp_path / "dag" / "merge.sub")["arguments"])
    assert merging[3:] == [
        str(tmp_path / "dag" / "o.json"),
        str(tmp_path / "dag" / "shards.txt"),
        "--force",
        "--list",
    ]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--shards", 2), 2, "say how much"),
        (("--shards", 20, "--n", 10), 3, "ask for fewer shards"),
        (("--shards", 2, "--n", 10, "--line", "queue 5"), 3, "no line of a submit description"),
        (("--shards", 2, "--n", 10, "--bundle", "nowhere"), 4, "nowhere is no bundle"),
        (("--shards", 2, "--n", 10, "--reference", "none.root"), 3, "reference none.root does not exist"),
        (("--n", 10), 2, "--shards"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    inside: Run, tmp_path: Path, options: tuple[object, ...], code: int, message: str
) -> None:
    done = inside("condor", "dag", "-o", "o.root", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_another_folder_is_not_replaced(inside: Run, tmp_path: Path) -> None:
    options = ("condor", "dag", "-o", "o.root", "--shards", 2, "--n", 1000)
    assert inside(*options).returncode == 0
    assert "--force to replace it" in inside(*options).stderr
    assert inside(*options, "--force").returncode == 0
    (tmp_path / "dag" / "production.dag").unlink()
    assert "holds something else" in inside(*options, "--force").stderr


def test_quoting_is_undone_by_the_manuals_rules() -> None:
    odd = ["plain", "two words", "it's", 'a "quote"', "", "$(HOME)", "'", "a''b c"]
    text = re.sub(r"\$\(DOLLAR\)", "$", quoted(odd))
    assert words(text) == odd
