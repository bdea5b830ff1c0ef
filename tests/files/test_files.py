from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shipgen.errors import InputError, OutputError
from shipgen.files.outputs import (
    check_idle,
    complete_file,
    complete_folder,
    discard_work,
    read_json,
    unfinished,
    work_folder,
)

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

INDEX = "index.json"


def write_folder(path: Path, text: str, *, force: bool = False) -> None:
    with complete_folder(path, index=INDEX, force=force) as part:
        (part / INDEX).write_text(text)


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with complete_file(path) as part:
        part.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def _hold(path: Path, started: Event, finish: Event) -> None:
    with complete_file(path) as part:
        part.write_text("first")
        started.set()
        finish.wait(30)


def test_two_runs_cannot_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    context = multiprocessing.get_context("spawn")
    started, finish = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, started, finish))
    process.start()
    assert started.wait(30)
    with pytest.raises(InputError, match="another run is writing"), complete_file(path):
        raise AssertionError
    finish.set()
    process.join(30)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_run_left_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "out"
    context = multiprocessing.get_context("spawn")
    started, finish = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, started, finish))
    process.start()
    assert started.wait(30)
    process.kill()
    process.join(30)
    assert [item.name for item in tmp_path.iterdir()] == ["out.part"]
    with complete_file(path) as part:
        part.write_text("second")
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def write() -> None:
        with complete_file(path) as part:
            part.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(OutputError, match="meanwhile"):
        write()
    assert path.read_text() == "theirs"


def test_special_files_and_links(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        complete_file(tmp_path / "pipe", force=True).__enter__()
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with complete_file(tmp_path / "link", force=True) as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_only_a_folder_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"no index.json in it"):
        write_folder(mine, "new", force=True)
    assert (mine / "thesis.txt").exists()
    write_folder(tmp_path / "ours", "old")
    with pytest.raises(InputError, match="--force"):
        write_folder(tmp_path / "ours", "new")
    write_folder(tmp_path / "ours", "new", force=True)
    assert (tmp_path / "ours" / INDEX).read_text() == "new"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["mine", "ours"]


def test_a_folder_that_cannot_be_replaced_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ours"
    write_folder(folder, "old")
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        write_folder(folder, "new", force=True)
    assert (folder / INDEX).read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_the_current_folder_is_a_folder_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--force"):
        write_folder(Path(), "new")


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_json_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot read"):
        read_json(tmp_path / f"{time.time()}.json")


KEY = {"seed": 1, "target": {"start": -7084.5}, "files": ("a", "b")}


def leave_work(output: Path, *pieces: str) -> None:
    with contextlib.suppress(RuntimeError), work_folder(output, KEY) as folder:
        for piece in pieces:
            (folder / piece).write_text(piece)
        raise RuntimeError


def test_work_is_found_again_and_removed_when_it_is_done(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert unfinished(output) is None
    leave_work(output, "first")
    found = unfinished(output)
    assert found is not None
    assert found["seed"] == 1
    with work_folder(output, KEY) as folder:
        assert (folder / "first").read_text() == "first"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_made_no_piece_leaves_nothing(tmp_path: Path) -> None:
    leave_work(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_work_of_other_settings_is_refused_and_kept(tmp_path: Path) -> None:
    output = tmp_path / "out"
    leave_work(output, "first")
    with (
        pytest.raises(InputError, match="unfinished work with seed 1, but 2 is asked for"),
        work_folder(output, {**KEY, "seed": 2}),
    ):
        raise AssertionError
    assert (tmp_path / "out.work" / "first").is_file()


def test_removal_takes_the_name_away_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill amid the removal leaves is neither found nor in the way."""
    output = tmp_path / "out"
    leave_work(output, "first")
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *_, **__: None)
        discard_work(output)
    assert [item.name for item in tmp_path.iterdir()] == ["out.work.old"]
    assert unfinished(output) is None
    leave_work(output, "second")
    discard_work(output)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut leaves an empty file under it: the file first, then the name, then the folder."""
    path, done = tmp_path / "out", []
    sync, replace = os.fsync, Path.replace

    def note_sync(number: int) -> None:
        done.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        sync(number)

    def note_replace(self: Path, target: Path) -> Path:
        done.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    with complete_file(path) as part:
        part.write_text("whole")
    assert done == [f"{path}.part", "replace", str(tmp_path)]


def test_two_runs_cannot_work_for_the_same_output(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with (
        work_folder(output, KEY),
        pytest.raises(InputError, match="another run is writing"),
        work_folder(output, KEY),
    ):
        raise AssertionError
    with work_folder(output, KEY), pytest.raises(InputError, match="another run is writing"):
        check_idle(output)
    check_idle(output)
    assert list(tmp_path.iterdir()) == []
