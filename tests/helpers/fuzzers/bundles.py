"""Damaged bundles: bits, what ``bundle.json`` says, its text, what the networks' names lead to."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.bundles import edit_index, write_test_bundle
from helpers.fuzzing import WrongError, command, flip, load
from shipgen.bundle.bundle import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from pathlib import Path

#: What stands in the place of a value.
STRANGE: tuple[Any, ...] = (
    None, True, False, "", " 1_0 ", "nan", "\x00", "\x1b[2J", "\ud800", "../x", "/etc/passwd", "x" * 10_000,
    0, -1, 1, 5.9, 1e-320, 1e308, -1e308, float("inf"), float("nan"), 2**63, 10**400, 10**9,
    [], [[]], {}, {"a": {}}, [None] * 1000, 1e30, 0.5, 13, -13,
)  # fmt: skip

#: Memory that a command may take beyond what it begins with.
MEMORY = 2**30

MOST = 400

_PRODUCE = ("produce", "-n", "500", "--seed", "1", "--workers", "1")


class Bundles:
    """Trials."""

    def __init__(self, folder: Path) -> None:
        load("info", "produce")
        for module in ("shipgen.describe.describe", "shipgen.production.produce", "onnxruntime"):
            import_module(module)
        # The default bundle says most of itself, the other one is quick.
        self.good = [write_test_bundle(folder / "bundle").path, DEFAULT_BUNDLE]
        self.muons = []
        for number, path in enumerate(self.good):
            ended = command(*_PRODUCE, "--bundle", path, "-o", f"{number}.root", folder=folder)
            if ended.code:
                raise RuntimeError(ended.stderr)
            self.muons.append(_check_made("good", folder / f"{number}.root"))

    def trial(self, rng: np.random.Generator, folder: Path) -> str:
        """Damage a bundle, describe it, and produce from it."""
        bundle = folder / "b"
        which = int(rng.integers(2))
        shutil.copytree(self.good[which], bundle)
        kinds = {
            "value": _value, "value ": _value, "value  ": _value, "key": _key, "text": _text, "bit": _bit,
            "network": _network, "name": _name, "size": _size,
        }  # fmt: skip
        kind = str(rng.choice(list(kinds)))
        if kind not in ("bit", "name"):
            # As who changes it on purpose takes it out; what has its seal is refused for that alone.
            edit_index(bundle, lambda _: None)
        kinds[kind](bundle, rng)
        kind = kind.strip()
        codes = []
        for words in (
            ("info", "b"),
            (*_PRODUCE, "--bundle", "b", "-o", "o.root"),
        ):
            ended = command(*words, folder=folder, memory=MEMORY)
            try:
                ended.check()
            except WrongError as error:
                raise WrongError(f"{kind}, {words[0]}: {error}") from error
            told = ended.stdout + ended.stderr
            for line in told.splitlines():
                if len(line) > MOST + 200 or not line.isprintable():
                    raise WrongError(f"{kind}, {words[0]} says {line[:300]!r}")
            codes.append(ended.code)
        if codes[1] == 0:
            columns = _check_made(kind, folder / "o.root")
            if kind == "bit" and columns != self.muons[which]:
                raise WrongError(f"{kind}: other muons")
        # Without an index it is a folder like any other to `info`.
        if codes[0] != codes[1] and codes != [3, 4]:
            raise WrongError(f"{kind}: info ends with {codes[0]}, produce with {codes[1]}: {ended.stderr}")
        if codes[1] not in (0, 4):
            raise WrongError(f"{kind}: code {codes[0]}: {ended.stderr}")
        return f"{kind} {'refused' if codes[1] else 'used'}"


def _check_made(kind: str, path: Path) -> bytes:
    """Raise `WrongError` unless the file that was made makes sense; return its muons."""
    import uproot

    with uproot.open(path) as file:
        facts = json.loads(str(file["shipgen"]))
        columns = file["pythia8-Geant4"].arrays(library="np")
    numbers = [facts["pot"], facts["sum_of_weights"], facts["weight"], facts["energy_cut"]]
    if not all(math.isfinite(number) for number in numbers) or not 0 < facts["pot"] < 1e35:
        raise WrongError(f"{kind}: a file of {numbers}")
    if not 300 < facts["muons"] < 700 or not all(np.isfinite(column).all() for column in columns.values()):
        raise WrongError(f"{kind}: a file of {facts['muons']} muons, or not finite")
    return b"".join(column.tobytes() for column in columns.values())


def _index(bundle: Path) -> Any:
    return json.loads((bundle / "bundle.json").read_text())


def _write(bundle: Path, index: Any) -> None:
    (bundle / "bundle.json").write_text(json.dumps(index), errors="surrogatepass")


def _place(content: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return a container somewhere in `content` and a key of it; rather near the top."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = keys[int(rng.integers(len(keys)))]
        inner = content[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.15:
            return content, key
        content = inner


def _value(bundle: Path, rng: np.random.Generator) -> None:
    index = _index(bundle)
    for _ in range(int(rng.integers(1, 3))):
        container, key = _place(index, rng)
        container[key] = STRANGE[int(rng.integers(len(STRANGE)))]
    _write(bundle, index)


def _key(bundle: Path, rng: np.random.Generator) -> None:
    index = _index(bundle)
    container, key = _place(index, rng)
    value = container.pop(key)
    if isinstance(container, dict) and rng.random() < 0.5:
        container["\x07" if rng.random() < 0.5 else str(key)[::-1]] = value
    _write(bundle, index)


def _text(bundle: Path, rng: np.random.Generator) -> None:
    path = bundle / "bundle.json"
    text = path.read_bytes()
    start, stop = sorted(int(place) for place in rng.integers(len(text), size=2))
    depth = int(10 ** rng.uniform(1, 5))
    path.write_bytes(
        [
            text[:start], text[:start] + text[stop:], text + text, b"[" * depth + b"]" * depth,
            b'{"format":' * depth + b"1" + b"}" * depth, b"", b"\xff\xfe" + text, b"5",
            text.replace(b'"name"', b'"name": "x", "name"', 1), text.replace(b"0", b"0" * 5000, 1),
        ][int(rng.integers(10))]
    )  # fmt: skip


def _bit(bundle: Path, rng: np.random.Generator) -> None:
    path = _chosen(bundle, rng, [path.name for path in sorted(bundle.iterdir())])
    path.write_bytes(flip(path.read_bytes(), rng))


def _network(bundle: Path, rng: np.random.Generator) -> None:
    """Damage a network and state its new hash."""
    index = _index(bundle)
    entry = index["categories"][int(rng.integers(4))]
    path = bundle / entry["file"]
    model = path.read_bytes()
    match int(rng.integers(4)):
        case 0 | 1:
            model = flip(model, rng)
        case 2:
            model = model[: int(rng.integers(len(model)))]
        case _:
            start = int(rng.integers(len(model)))
            model = model[:start] + rng.bytes(int(rng.integers(1, 60))) + model[start:]
    path.write_bytes(model)
    entry["sha256"] = hashlib.sha256(model).hexdigest()
    _write(bundle, index)


def _name(bundle: Path, rng: np.random.Generator) -> None:
    """Put something else than a file in the place of one."""
    path = _chosen(bundle, rng, [path.name for path in sorted(bundle.iterdir())])
    path.unlink()
    match int(rng.integers(6)):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to("/dev/zero")
        case 2:
            path.mkdir()
        case 3:
            path.symlink_to(path.name)
        case 4:
            path.write_bytes(b"")
        case _:
            pass


def _size(bundle: Path, rng: np.random.Generator) -> None:
    """Make a file huge: holes, or lists of nothing."""
    if rng.random() < 0.5:
        path = _chosen(bundle, rng, [path.name for path in sorted(bundle.iterdir())])
        with path.open("r+b") as file:
            file.truncate(int(10 ** rng.uniform(6, 11)))
        return
    index = _index(bundle)
    many = int(10 ** rng.uniform(4, 6.5))
    text = json.dumps(index)[:-1] + ', "more": [' + ",".join(["[]"] * many) + "]}"
    (bundle / "bundle.json").write_text(text)


def _chosen(bundle: Path, rng: np.random.Generator, names: list[str]) -> Path:
    return bundle / str(rng.choice(names))
