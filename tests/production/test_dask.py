"""`shipgen produce --dask`: a local cluster, workers killed on the way, batch systems that are stand-ins."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import dask
import distributed
import distributed.security
import numpy as np
import psutil
import pytest
import uproot

from helpers.production_runs import provenance, read, run_inside  # noqa: F401
from shipgen.errors import InputError, MissingExtraError, OutputError, ShipgenError
from shipgen.files.layouts import TRAINING
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.plan import Plan
from shipgen.generate.shards import Shard
from shipgen.production.dask_cluster import as_completed, connect, in_order
from shipgen.production.dask_produce import ShardTask, default_shards, make_shard
from shipgen.production.request import Request
from shipgen_export.simulation.block import ProtonBlock, SimulationSettings
from shipgen_export.simulation.particles import Process
from shipgen_export.simulation.simulate import simulate
from shipgen_export.simulation.target import read_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle


@pytest.fixture(scope="module", name="client")
def local_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of ours, with its key where Dask's own configuration names it: others may join."""
    folder = tmp_path_factory.mktemp("key")
    with connect("local", 2) as client:
        security = client.security
        for name, text in (("cert", security.tls_client_cert), ("key", security.tls_client_key)):
            (folder / name).write_text(text)
        tls = {"ca-file": "cert", "client.cert": "cert", "client.key": "key"}
        with dask.config.set(
            {f"distributed.comm.tls.{key}": str(folder / name) for key, name in tls.items()}
        ):
            yield client


def workers(client: Any) -> dict[str, int]:
    """Return the process of each worker."""
    found: dict[str, int] = client.run(os.getpid)
    return found


def test_shards_of_a_cluster_with_a_killed_worker_are_the_unsharded_run(
    inside: Run, bundle: Bundle, tmp_path: Path, client: Any
) -> None:
    """One of two workers is killed as soon as it has written something."""
    before = set(workers(client).values())
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            for journal in tmp_path.glob("out_shard*.work/journal"):
                # The first line is the key, the second a cluster.
                if journal.read_text().count("\n") >= 2:
                    killed.append(min(before))
                    os.kill(killed[0], signal.SIGKILL)
                    return
            time.sleep(0.002)

    thread = threading.Thread(target=kill_one)
    thread.start()
    options = ("produce", "--n", "3e6", "--seed", 1, "--bundle", bundle.path, "-o")
    address = client.scheduler.address
    done = inside(*options, "out.root", "--dask", address, "--shards", 4)
    thread.join()
    assert (done.returncode, done.stderr) == (0, "")
    assert killed
    assert killed[0] not in workers(client).values()
    plan = MuonGenerator(bundle, n=3e6, seed=1).plan
    assert f"out.json: {plan.total:,} muons in 4 files" in done.stdout
    assert inside("merge", "out.root", "out.json").returncode == 0
    assert inside(*options, "whole.root").returncode == 0
    whole, merged = (provenance(tmp_path / name) for name in ("whole.root", "out.root"))
    # Hashes of all that is stored: the same bytes in the same places.
    assert merged["clusters"] == whole["clusters"]
    assert merged["counts"] == whole["counts"]
    np.testing.assert_array_equal(read(tmp_path / "out.root")["pz"], read(tmp_path / "whole.root")["pz"])


def assert_made_again(path: Path, manifest: dict[str, Any]) -> None:
    """Compare a manifest with a former one; files state another command, whose length is not the same."""
    again = json.loads(path.read_text())
    for entry, former in zip(again["files"], manifest["files"], strict=True):
        assert entry["bytes"] == (path.parent / entry["file"]).stat().st_size
        again["bytes"] -= entry["bytes"] - former["bytes"]
        entry["bytes"] = former["bytes"]
    assert again == manifest


def test_what_is_there_counts_and_what_is_missing_is_made(
    inside: Run, bundle: Bundle, tmp_path: Path, client: Any
) -> None:
    options = ("produce", "--n", 5000, "--bundle", bundle.path, "-o", "o.root", "--dask")
    address = client.scheduler.address
    done = inside(*options, address, "--shards", 3)
    assert (done.returncode, "warning: 3 shards of 1 chunks" in done.stderr) == (0, True)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["o.json", "o_shard1of3.root", "o_shard2of3.root", "o_shard3of3.root"]
    manifest = json.loads((tmp_path / "o.json").read_text())
    assert [entry["file"] for entry in manifest["files"]] == files[1:]
    assert "o_shard1of3.root exists" in inside(*options, address, "--shards", 3).stderr
    kept = (tmp_path / files[1]).stat().st_mtime_ns
    (tmp_path / files[2]).unlink()
    # Without a seed: that of what is there.
    done = inside(*options, address, "--shards", 3, "--resume")
    assert done.returncode == 0
    assert "muons were there from an earlier run" in done.stdout
    assert_made_again(tmp_path / "o.json", manifest)
    assert (tmp_path / files[1]).stat().st_mtime_ns == kept
    # A damaged file is not taken for a result, nor replaced unasked.
    (tmp_path / files[1]).write_bytes((tmp_path / files[1]).read_bytes()[:-100])
    done = inside(*options, address, "--shards", 3, "--resume", "--seed", manifest["seed"])
    assert done.returncode == 3
    assert "o_shard1of3.root exists" in done.stderr.splitlines()[-1]
    done = inside(*options, address, "--shards", 3, "--force", "--seed", manifest["seed"])
    assert done.returncode == 0
    assert_made_again(tmp_path / "o.json", manifest)


def test_another_bundle_where_the_worker_is(bundle: Bundle, tmp_path: Path) -> None:
    request = Request(
        str(tmp_path / "o.root"), n=100, seed=1, bundle=str(bundle.path), shard=Shard(1, 2), resume=True
    )
    with pytest.raises(InputError, match="is another one where shard 1/2 was made"):
        make_shard(ShardTask(request, "0" * 64))


def test_a_shard_that_another_worker_makes_is_waited_for(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask may give a shard to a second worker while the first, cut off from it, still makes it."""
    request = Request(
        str(tmp_path / "o.root"), n=100, seed=1, bundle=str(bundle.path), shard=Shard(1, 2), resume=True
    )
    asked = []

    def busy(path: Path) -> None:
        asked.append(path)
        if len(asked) < 3:
            raise InputError("another run is writing")

    monkeypatch.setattr("shipgen.production.dask_produce.check_idle", busy)
    monkeypatch.setattr("shipgen.production.dask_produce._INTERVAL", 0.01)
    first = make_shard(ShardTask(request, bundle.sha256))
    assert not first.found
    assert len(asked) == 3
    assert make_shard(ShardTask(request, bundle.sha256)).found


def _work(task: int) -> int:
    if task == 3:
        raise InputError("no such thing")
    if task == 4:
        raise OutputError("no space")
    if task == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * task


def test_results_in_order_and_failures_in_one_line(client: Any) -> None:
    def endless() -> Iterator[int]:
        yield 1
        yield from iter(lambda: 2, None)

    with in_order(client, _work, endless()) as results:
        assert [next(results) for _ in range(5)] == [10, 20, 20, 20, 20]
    assert sorted(as_completed(client, _work, [0, 1, 2])) == [(0, 0), (1, 10), (2, 20)]
    with pytest.raises(ShipgenError, match=r"^no such thing$") as caught, in_order(client, _work, [3]) as one:
        next(one)
    assert caught.value.exit_code == InputError.exit_code
    with pytest.raises(ShipgenError, match=r"^4 failed 4 times, at last with: no space$"):
        list(as_completed(client, _work, [4]))


def test_shards_where_their_number_is_not_said() -> None:
    for muons, shards in ((1e5, 1), (1e6, 4), (1e8, 16), (1e12, 14902)):
        plan = Plan.make([1.0], n=muons, seed=1, exact=True)
        assert default_shards(plan) == shards


def test_no_cluster_there(inside: Run, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipgen.production.dask_cluster._PATIENCE", 0.5)
    options = ("produce", "--n", 100, "--bundle", bundle.path, "-o", "o.root", "--dask")
    for where in ("tcp://127.0.0.1:9", "lxplus"):
        done = inside(*options, where)
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert f"no Dask scheduler answers at '{where}'" in done.stderr
    assert "say how many workers slurm shall run: --workers W" in inside(*options, "slurm").stderr
    assert "leave out --workers" in inside(*options, "tcp://127.0.0.1:9", "--jobs", 2).stderr


def test_a_cluster_without_workers_is_waited_for_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipgen.production.dask_cluster._PATIENCE", 0.5)
    told: list[str] = []
    with (
        distributed.LocalCluster(processes=False, n_workers=0, dashboard_address=":0") as cluster,
        connect(cluster.scheduler_address, warn=told.append) as client,
    ):
        assert len(told) == 1
        assert f"no worker of {cluster.scheduler_address} has come in 0.5 s" in told[0]
        cluster.scale(1)
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3


def test_a_connection_without_a_key_is_told_once() -> None:
    told: list[str] = []
    with (
        distributed.LocalCluster(
            host="127.0.0.1", protocol="tcp", processes=False, n_workers=1, dashboard_address=":0"
        ) as cluster,
        connect(cluster.scheduler_address, warn=told.append),
    ):
        assert cluster.scheduler_address.startswith("tcp://")
    assert len(told) == 1
    assert f"the connection to {cluster.scheduler_address} is not encrypted" in told[0]


def test_a_connection_with_a_key_needs_no_word(client: Any) -> None:
    told: list[str] = []
    with connect(client.scheduler.address, warn=told.append):
        assert client.scheduler.address.startswith("tls://")
    assert not told


@pytest.mark.parametrize(("module", "where"), [("distributed", "local"), ("dask_jobqueue", "slurm")])
def test_without_dask_the_extra_is_named(
    inside: Run, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, module: str, where: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    done = inside(
        "produce", "--n", 100, "--bundle", bundle.path, "-o", "o.root", "--dask", where, "--jobs", 1
    )
    assert done.returncode == MissingExtraError.exit_code
    assert "install shipgen with its extra 'dask'" in done.stderr


#: Stand-ins: what they are given they run on this machine, as the batch system would elsewhere. A Slurm job
#: is a script, which is deleted once sbatch has returned; of a submit description the arguments are
#: ``-c 'COMMAND'``, its quotes doubled.
SUBMIT = {
    "slurm": ("sbatch", 'cp "$1" job.sh; bash job.sh >job.log 2>&1 & echo "Submitted batch job $!"'),
    "htcondor": (
        "condor_submit",
        r"""for file; do :; done
command=$(sed -n 's/^[Aa]rguments = "-c .\(.*\)."$/\1/p' "$file" | sed "s/''/'/g")
bash -c "$command" >job.log 2>&1 & echo "1 job(s) submitted to cluster $!."
""",
    ),
}


@pytest.fixture(name="batch")
def stand_in_for_a_batch_system(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    name, text = SUBMIT[request.param]
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool, content in ((name, text), ("scancel", "kill $*"), ("condor_rm", "kill $*")):
        (tools / tool).write_text(f"#!/bin/bash\n{content}\n")
        (tools / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return str(request.param)


@pytest.mark.parametrize("batch", SUBMIT, indirect=True)
def test_jobs_of_a_batch_system(inside: Run, bundle: Bundle, tmp_path: Path, batch: str) -> None:
    done = inside(
        "produce", "--n", 5000, "--seed", 1, "--bundle", bundle.path, "-o", "o.root", "--dask", batch,
        "--jobs", 1, "--shards", 1,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "o_shard1of1.root").is_file()
    # The workers' key is gone with the cluster.
    assert not list(tmp_path.glob(".shipgen-dask*"))


def listening(client: Any) -> set[tuple[str, str]]:
    """Addresses that scheduler and workers listen on, each with whether it is of their protocol."""

    def mine(addresses: set[int]) -> set[tuple[str, str]]:
        return {
            (one.laddr.ip, "dask" if one.laddr.port in addresses else "pages")
            for one in psutil.Process().net_connections(kind="tcp")
            if one.status == psutil.CONN_LISTEN
        }

    known = [client.scheduler.address, *client.scheduler_info(n_workers=-1)["workers"]]
    ports = {int(address.rpartition(":")[2]) for address in known}
    nannies = {worker["nanny"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()}
    ports |= {int(address.rpartition(":")[2]) for address in nannies if address}
    assert all(address.startswith("tls://") for address in (*known, *filter(None, nannies)))
    return mine(ports).union(*client.run(mine, ports).values())


def talk_without_certificate(address: str) -> None:
    """Speak TLS with a scheduler, without Dask's own manners, believing any certificate and showing none."""
    host, port = address.removeprefix("tls://").split(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), timeout=30) as bare,
        context.wrap_socket(bare) as tls,
    ):
        # By TLS 1.3 a client learns of the certificate that it lacks when it reads.
        tls.recv(1)


def test_nobody_gets_into_a_cluster_without_its_key(client: Any) -> None:
    assert client.submit(sum, [1, 2]).result(timeout=30) == 3
    assert client.scheduler.address.startswith("tls://127.0.0.1:")
    with pytest.raises(OSError, match="TLS certificate does not match"):
        distributed.Client(
            client.scheduler.address, security=distributed.security.Security.temporary(), timeout=5
        )
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake"):
        talk_without_certificate(client.scheduler.address)
    assert {ip for ip, _ in listening(client)} == {"127.0.0.1"}


@pytest.mark.parametrize("batch", SUBMIT, indirect=True)
def test_nobody_gets_into_the_cluster_of_a_batch_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect(batch, 1) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
        with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake"):
            talk_without_certificate(client.scheduler.address)
        assert {ip for ip, kind in listening(client) if kind == "pages"} == {"127.0.0.1"}
        assert [key.stat().st_mode & 0o777 for key in tmp_path.glob(".shipgen-dask*")] == [0o700]


def test_simulate_takes_its_blocks_from_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for blocks, in threads of this process, where they are known."""
    made = []

    def block(settings: SimulationSettings, number: int, protons: int) -> ProtonBlock:
        made.append(number)
        rng = np.random.default_rng((settings.seed, number))
        columns = {branch.column: rng.integers(1, 100, protons) for branch in TRAINING.branches}
        columns |= {"pdg": np.full(protons, 13), "process": np.full(protons, int(Process.DECAY))}
        return ProtonBlock(
            number, protons, {**columns, "weight": np.ones(protons)}, {"CHARM": 0, "BEAUTY": 0}
        )

    monkeypatch.setattr("shipgen_export.simulation.simulate.simulate_block", block)
    with distributed.LocalCluster(processes=False, n_workers=2, dashboard_address=":0") as cluster:
        options = {"seed": 1, "block_protons": 50, "dask": cluster.scheduler_address}
        report = simulate(tmp_path / "s.root", protons=199, **options)  # type: ignore[arg-type]
        enough = simulate(tmp_path / "m.root", muons=120, **options)  # type: ignore[arg-type]
    assert (report.protons, report.blocks, report.tally.muons) == (199, 4, 199)
    # One block tells how much the others have to make: 70.35 of them.
    assert (enough.blocks, enough.tally.muons) == (3, 121)
    with uproot.open(tmp_path / "s.root") as file:
        x = file["muons"]["x"].array(library="np")
    expected = np.concatenate(
        [
            block(SimulationSettings(1, 10.0, read_target(None), 50), *one).columns["x"]
            for one in ((0, 50), (1, 50), (2, 50), (3, 49))
        ]
    )
    np.testing.assert_array_equal(x, expected)
