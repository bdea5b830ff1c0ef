"""HTCondor without Dask: a DAG of jobs that make the shards of a production, merge and validate them.

The files are written for `condor_submit_dag`; HTCondor itself is not needed to write them. Machines share the
disk that program, bundle and outputs are on, or outputs are ``root://`` addresses, to which jobs copy.
Sources: HTCondor manual, *condor_submit* (new syntax of arguments) and *DAGMan*.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shipgen.bundle.library import locate
from shipgen.errors import InputError
from shipgen.files.outputs import complete_folder
from shipgen.files.rootfile import is_remote
from shipgen.generate.shards import Shard
from shipgen.production.preflight import bytes_per_muon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.generate.plan import Plan
    from shipgen.production.request import Request

#: The file that makes a folder one of this kind.
INDEX = "production.dag"

_LOGS = "logs"

#: How often a job is tried again; not when its input is at fault, which no other try changes.
_RETRIES = 3

#: What jobs ask for beside what follows from the production; memory in MB, at least.
_MEMORY = {"produce": 1000, "merge": 1000, "validate": 4000}

#: MB of each worker, of which processes of more than four take 50 and the main one 150.
_WORKER_MEMORY = 100
_LEAST_DISK = 200e6


@dataclass(frozen=True)
class LaterSteps:
    """What follows the shards.

    Attributes
    ----------
    listed : bool
        List the shards in a manifest in place of merging them.
    reference : Path, optional
        What to validate against; no validation without.
    validate : tuple of str
        Further options of ``shipgen validate``.
    """

    listed: bool = False
    reference: Path | None = None
    validate: tuple[str, ...] = ()


def write_dag(
    folder: Path,
    request: Request,
    plan: Plan,
    shards: int,
    steps: LaterSteps,
    *,
    lines: Sequence[str] = (),
    force: bool = False,
) -> list[str]:
    """Write submit descriptions and DAG of a production into `folder`.

    Parameters
    ----------
    folder : Path
        The folder to make.
    request : Request
        The production, with its seed; without a shard.
    plan : Plan
        Its plan.
    shards : int
        How many jobs make it.
    steps : LaterSteps
        What follows them.
    lines : sequence of str
        Further lines of every submit description, such as ``+JobFlavour = "workday"``.
    force : bool
        Replace a folder of this kind.

    Returns
    -------
    list of str
        The names of the files written.

    Raises
    ------
    InputError
        There are more shards than muons, a line is none, or a step cannot follow.
    """
    # Of one that has no name of a file this is an error.
    _ = request.location
    remote = is_remote(request.output)
    if remote and not steps.listed:
        raise InputError("shards at an address are not merged into one file: say --list")
    if remote and steps.reference:
        raise InputError("validate reads files on disk, not at an address: leave out --reference")
    if steps.reference and not steps.reference.exists():
        raise InputError(f"the reference {steps.reference} does not exist: make it before its jobs")
    for line in lines:
        if "\n" in line or not re.match(r"\s*[+\w.]+\s*=", line):
            raise InputError(f"{line!r} is no line of a submit description: write 'KEY = VALUE'")
    output = request.output if remote else str(Path(request.output).absolute())
    request = replace(request, output=output)
    wanted = [replace(request, shard=shard) for shard in Shard.all(shards)]
    locations = [str(one.location) for one in wanted]
    largest = max(stop - first for first, stop in (shard.muons(plan.total) for shard in Shard.all(shards)))
    disk = largest * bytes_per_muon(request.root_layout, request.compression) if remote else 0.0
    merged = str((folder if remote else Path(output).parent).absolute() / Path(output).name)
    merged = str(Path(merged).with_suffix(".json")) if steps.listed else merged
    words = {
        "produce": [*_produce(request), "--shard", f"$(shard)/{shards}"],
        "merge": ["merge", merged, str(folder.absolute() / "shards.txt"), "--force"]
        + ["--list"] * steps.listed,
    }
    if steps.reference:
        generated = locations[0] if steps.listed else merged
        report = f"{Path(merged).with_suffix('')}_report"
        reference = str(steps.reference.absolute())
        words["validate"] = ["validate", generated, reference, "-o", report, "--force", *steps.validate]
    for word in (str(folder), *(word for line in words.values() for word in line), *locations):
        if not word.isprintable():
            raise InputError(f"{word!r} cannot stand in a submit description: choose another name")
    files = {f"{name}.sub": _submit(name, folder, line, disk, lines) for name, line in words.items()}
    files["shards.txt"] = "".join(f"{location}\n" for location in locations)
    files[INDEX] = _dag(shards, list(words))
    with complete_folder(folder, index=INDEX, force=force) as part:
        (part / _LOGS).mkdir()
        for name, text in files.items():
            (part / name).write_text(text, encoding="utf-8")
    return list(files)


def _produce(request: Request) -> list[str]:
    """Return the command that makes a shard, without its number."""
    amount = ["--muons", str(request.n)] if request.n is not None else ["--pot", repr(request.pot)]
    words = ["produce", *amount, "-o", request.output, "--seed", str(request.seed), "--resume"]
    words += ["--layout", request.root_layout.name, "--compression", request.compression]
    if request.precision is not None:
        words += ["--precision", str(request.precision)]
    words += ["--workers", str(request.workers or 1)]
    if request.bundle is not None:
        words += ["--bundle", str(locate(request.bundle).absolute())]
    return words + ["--exact"] * request.exact + request.selection.words()


def _submit(name: str, folder: Path, words: Sequence[str], disk: float, lines: Sequence[str]) -> str:
    """Return the submit description of a step."""
    cores = words[words.index("--workers") + 1] if "--workers" in words else "1"
    log = "produce.$(shard)" if name == "produce" else name
    content = {
        "universe": "vanilla",
        "executable": sys.executable,
        "arguments": quoted(["-m", "shipgen", *words]),
        "initialdir": _literal(str(folder.absolute())),
        "output": f"{_LOGS}/{log}.out",
        "error": f"{_LOGS}/{log}.err",
        "log": f"{_LOGS}/condor.log",
        "request_cpus": cores,
        "request_memory": f"{max(_MEMORY[name], _WORKER_MEMORY * int(cores))} MB",
        "request_disk": f"{max(disk, _LEAST_DISK) / 1e6:.0f} MB",
        # All paths are those of a shared disk; what a job writes elsewhere is not fetched.
        "should_transfer_files": "YES",
        "transfer_executable": "False",
        "transfer_output_files": '""',
    }
    head = f"# shipgen {name}, of {INDEX}\n"
    body = "".join(f"{key} = {value}\n" for key, value in content.items())
    return head + body + "".join(f"{line.strip()}\n" for line in lines) + "queue\n"


def _literal(text: str) -> str:
    """Return `text` such that HTCondor expands nothing in it."""
    return text.replace("$", "$(DOLLAR)")


def quoted(words: Sequence[str]) -> str:
    """Return a command's words in HTCondor's new syntax of arguments; ``$(shard)`` stays a macro."""
    found = []
    for word in words:
        text = _literal(word).replace(_literal("$(shard)"), "$(shard)").replace('"', '""')
        found.append("'" + text.replace("'", "''") + "'" if re.search(r"[\s']", text) or not text else text)
    return f'"{" ".join(found)}"'


def _dag(shards: int, steps: Sequence[str]) -> str:
    """Return the DAG: a node a shard, so that a rescue DAG makes those that failed only."""
    nodes = [f"shard{number}" for number in range(1, shards + 1)]
    lines = ["# condor_submit_dag production.dag, in this folder; again to go on with what failed"]
    for number, node in enumerate(nodes, 1):
        lines += [f"JOB {node} produce.sub", f'VARS {node} shard="{number}"']
    lines += [f"JOB {step} {step}.sub" for step in steps[1:]]
    # After an InputError the next try would fail alike, and a report would say the same.
    tried_again = [*nodes, "merge"]
    lines += [f"RETRY {node} {_RETRIES} UNLESS-EXIT {InputError.exit_code}" for node in tried_again]
    parents = [" ".join(nodes), *steps[1:]]
    lines += [f"PARENT {parent} CHILD {child}" for parent, child in zip(parents, steps[1:], strict=False)]
    return "\n".join(lines) + "\n"
