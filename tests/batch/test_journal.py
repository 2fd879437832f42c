"""What a run finds beside its table decides what it does: begin, go on, add, or refuse."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from asmnet.batch.journal import Chunk, Journal, Progress, _digest
from asmnet.batch.runner import BatchOptions, run_batch
from asmnet.cli import main
from asmnet.errors import InvalidInputError
from asmnet.rows import (
    error_row,
    face_rows,
    read_csv,
    read_parquet,
    to_jsonl,
    write_csv,
    write_parquet,
)

FORMATS = [".jsonl", ".csv", ".parquet"]


@pytest.fixture
def names(photos, tmp_path):
    """A list of three photos, with one face, none, and an error."""
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    return [str(photos / "astronaut.png"), str(tmp_path / "black.png"), str(tmp_path / "gone.jpg")]


@pytest.fixture
def batch(names, tmp_path):
    """The command with the first names of the list, or with others."""

    def run(out, *options, files=names):
        listing = tmp_path / "list.txt"
        listing.write_text("\n".join(files))
        return main(["batch", str(listing), "--out", str(out), "--workers", "1", *options])

    return run


def rows(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list((read_csv if path.suffix == ".csv" else read_parquet)(path))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_finished_table_gets_the_rows_of_more_photos(batch, names, tmp_path, capsys, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"faces{suffix}"
    assert batch(whole) == 1
    assert batch(out, files=names[:2]) == 0
    capsys.readouterr()
    assert batch(out, "--resume") == 1
    assert "1 faces in 3 files" in capsys.readouterr().out
    assert rows(out) == rows(whole)
    assert [row["error"] is None for row in rows(out)] == [True, False]
    assert sorted(path.name for path in tmp_path.glob("faces*")) == [out.name, f"{out.name}.done"]


def test_a_finished_table_is_complete(batch, tmp_path, capsys):
    out = tmp_path / "faces.jsonl"
    batch(out)
    before = out.stat()
    capsys.readouterr()
    assert batch(out, "--resume") == 1  # a file failed, as it did before
    captured = capsys.readouterr()
    assert "complete already: 1 faces in 3 files" in captured.out
    assert "1 failed" in captured.err
    assert out.stat().st_mtime_ns == before.st_mtime_ns


def test_a_finished_table_of_other_options_or_files_is_refused(batch, names, tmp_path, capsys):
    out = tmp_path / "faces.jsonl"
    batch(out)
    before = out.read_bytes()
    assert batch(out, "--resume", "--max-faces", "2") == 2
    assert "the options changed: max_faces None -> 2" in capsys.readouterr().err
    for files in (names[1:], names[:2], names[::-1]):
        assert batch(out, "--resume", files=files) == 2
        assert "the list of files changed" in capsys.readouterr().err
    assert out.read_bytes() == before
    out.write_text("mine\n")
    assert batch(out, "--resume") == 2
    assert "it was changed" in capsys.readouterr().err
    assert out.read_text() == "mine\n"


def test_only_overwrite_replaces_what_is_there(batch, tmp_path, capsys):
    out = tmp_path / "faces.csv"
    for name in ("faces.csv", "faces.csv.partial", "faces.csv.new"):
        path = tmp_path / name
        path.write_text("mine")
        for options in ([], ["--resume"]):
            assert batch(out, *options) == 2
            assert f"{path} is there already" in capsys.readouterr().err
        assert path.read_text() == "mine"
        assert batch(out, "--overwrite") == 1
        assert len(rows(out)) == 2
        assert sorted(p.name for p in tmp_path.glob("faces*")) == ["faces.csv", "faces.csv.done"]
        out.unlink()
        Path(f"{out}.done").unlink()
    for name in ("state", "done", "lock"):
        path = Path(f"{out}.{name}")
        path.write_text("{}")
        assert batch(out) == 2
        assert batch(out, "--resume") == 2
        assert path.read_text() == "{}"
        path.unlink()
    with pytest.raises(SystemExit, match="2"):
        batch(out, "--overwrite", "--resume")


@pytest.mark.parametrize("ending", [".partial", ".new"])
def test_a_finished_table_is_not_added_to_over_a_file_of_somebody(tmp_path, ending):
    out = tmp_path / "faces.csv"
    list(run_batch([], out, BatchOptions()))
    before = out.read_bytes()
    other = Path(f"{out}{ending}")
    other.write_text("mine")
    with pytest.raises(InvalidInputError, match="expected no files beside it"):
        list(run_batch([str(tmp_path / "gone.jpg")], out, BatchOptions(), resume=True))
    assert other.read_text() == "mine"
    assert out.read_bytes() == before
    other.unlink()
    assert [*run_batch([str(tmp_path / "gone.jpg")], out, BatchOptions(), resume=True)][-1].failed
    assert len(rows(out)) == 1


@pytest.mark.parametrize("text", ["", "[]", "null", "\0", '{"progress": 3}', '{"progress": {}}'])
def test_a_state_that_is_none_is_told(tmp_path, text):
    out = tmp_path / "faces.jsonl"
    for ending in (".state", ".done"):
        path = Path(f"{out}{ending}")
        path.write_text(text)
        with pytest.raises(InvalidInputError, match=f"{path}: not the state of a run"):
            Journal(out, {}, resume=True, overwrite=False)
        path.unlink()


def test_a_table_that_is_overwritten_stays_until_the_end(names, tmp_path):
    out = tmp_path / "faces.jsonl"
    out.write_text("old")
    steps = run_batch(names * 10, out, BatchOptions(), overwrite=True)
    while next(steps).files == 0:
        assert out.read_text() == "old"
    steps.close()
    with pytest.raises(InvalidInputError, match="unfinished run"):
        next(run_batch(names * 10, out, BatchOptions()))
    assert [*run_batch(names * 10, out, BatchOptions(), resume=True)][-1].files == 30
    assert len(rows(out)) == 20


def test_a_table_that_appears_during_the_run_is_not_replaced(names, tmp_path):
    out = tmp_path / "faces.csv"
    steps = run_batch(names, out, BatchOptions())
    next(steps)
    out.write_text("somebody's")
    with pytest.raises(InvalidInputError, match="made by somebody else"):
        list(steps)
    assert out.read_text() == "somebody's"
    out.unlink()
    assert [*run_batch(names, out, BatchOptions(), resume=True)][-1].files == 3
    assert len(rows(out)) == 2


def test_the_list_itself_is_not_written_over(photos, tmp_path, capsys):
    for name in ("faces.csv", "faces.csv.partial", "faces.csv.state.new"):
        listing = tmp_path / name
        listing.write_text(f"{photos}/astronaut.png")
        assert main(["batch", str(listing), "--out", str(tmp_path / "faces.csv"),
                     "--overwrite"]) == 2  # fmt: skip
        assert "expected another file than the inputs" in capsys.readouterr().err
        assert listing.read_text() == f"{photos}/astronaut.png"
        listing.unlink()


# --- crops ------------------------------------------------------------------------------------


def test_crops_go_to_a_new_folder(batch, names, tmp_path, capsys):
    crops = tmp_path / "crops"
    crops.mkdir()
    (crops / "mine.jpg").write_text("mine")
    out = tmp_path / "faces.jsonl"
    for options in ([], ["--resume"]):
        assert batch(out, "--crops", str(crops), *options) == 2
        assert "expected a new or empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("faces*")] == []
    assert batch(out, "--crops", str(crops), "--overwrite") == 1
    assert (crops / "mine.jpg").read_text() == "mine"
    assert len(list(crops.rglob("*.png-0.jpg"))) == 1
    # More photos: their crops go to those of the first run.
    assert batch(out, "--crops", str(crops), "--resume", files=[*names, names[0]]) == 1


def test_crops_never_replace_a_photo(photos, tmp_path):
    crops = tmp_path / "crops"
    crops.mkdir()
    (tmp_path / "x").mkdir()
    inside, linked, photo = crops / "x.png-0.jpg", tmp_path / "l.jpg", tmp_path / "x" / "y.png"
    for path in (inside, linked, photo):
        shutil.copy(photos / "astronaut.png", path)
    (crops / "y.png-0.jpg").symlink_to(linked)
    before = linked.read_bytes()
    options = BatchOptions(crops=crops, crops_root=tmp_path / "x")
    files, out = [str(photo), str(inside)], tmp_path / "faces.jsonl"
    list(run_batch(files, out, options, overwrite=True))
    assert [row["error"] for row in rows(out)] == [
        None, f"{inside}: expected a photo outside of the folder of the crops"
    ]  # fmt: skip
    assert inside.read_bytes() == linked.read_bytes() == before
    assert not (crops / "y.png-0.jpg").is_symlink()


# --- kills at the worst moments ---------------------------------------------------------------


class Killed(BaseException):
    """Nothing is cleaned up after it, as after SIGKILL."""


CHUNK = Chunk(["a", "b"], to_jsonl([error_row("b", ValueError("x"))]), 0, 1)


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("again", [False, True])
def test_a_kill_between_any_two_steps_of_the_end(tmp_path, monkeypatch, suffix, step, again):
    """The table is there once and whole, however often the end is begun."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"faces{suffix}"
    rows_before = 0

    def run(*, resume):
        journal = Journal(out, {"x": 1}, resume=resume, overwrite=False)
        journal.skip_done(iter(CHUNK.files * 2))
        wanted = 4 if again else 2
        if journal.is_done and journal.progress.files == wanted:
            return
        journal.open()
        while journal.progress.files < wanted:
            journal.append(CHUNK)
        journal.finish(68)

    if again:
        journal = Journal(out, {"x": 1}, resume=False, overwrite=False)
        journal.open()
        journal.append(CHUNK)
        journal.finish(68)
        rows_before = 1
    calls = iter(range(100))
    for name in ("replace", "unlink", "write_text"):
        real = getattr(Path, name)

        def call(self, *arguments, real=real, **options):
            if next(calls) == step:
                raise Killed
            return real(self, *arguments, **options)

        monkeypatch.setattr(Path, name, call)
    try:
        run(resume=again)
    except Killed:
        monkeypatch.undo()
        if rows_before:
            assert len(rows(out)) >= rows_before
        run(resume=True)
    assert len(rows(out)) == (2 if again else 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.done"]


def test_progress_names_every_file_in_order():
    progress = Progress().after(CHUNK).after(Chunk(["c"], b"", 0, 0))
    assert progress.names == _digest("", ["a", "b", "c"]) != _digest("", ["a", "c", "b"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_read_as_they_were_written(analyzer, photos, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    file = str(photos / "apollo11_crew.jpg")
    table = face_rows(file, analyzer.detect(file))
    table += [error_row('a\r\n",b.jpg', ValueError("x\ry"))]
    path = tmp_path / f"faces{suffix}"
    if suffix == ".csv":
        write_csv(table, path, points=68)
    else:
        write_parquet(table, path)
    assert list((read_csv if suffix == ".csv" else read_parquet)(path)) == table
    assert to_jsonl(rows(path)) == to_jsonl(table)
