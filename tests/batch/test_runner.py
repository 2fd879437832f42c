"""``asmnet batch``: its rows, and that no interruption loses or doubles one."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from PIL import Image

import asmnet.commands.progress
from asmnet.batch.runner import CHUNK_SIZE, CHUNKS_AHEAD, run_batch
from asmnet.batch.worker import BatchOptions, analyze
from asmnet.cli import main
from asmnet.errors import AsmnetError, ImageDecodeError, InvalidInputError
from asmnet.rows import COLUMNS, error_row, face_rows
from asmnet.sources import image_files

FORMATS = [".jsonl", ".csv", ".parquet"]


@pytest.fixture
def folder(photos, tmp_path):
    """Two photos with faces, one without, one that is broken, and what is no photo."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(photos / "astronaut.png", folder / "b.png")
    shutil.copy(photos / "apollo11_crew.jpg", folder / "deep" / "a.JPG")
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    (folder / "c.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture
def expected(folder, analyzer):
    """The rows of the folder, by detecting one photo after the other."""
    return rows_of([*sorted(folder.glob("*.[pj]*")), folder / "deep" / "a.JPG"], analyzer)


def rows_of(files, analyzer):
    rows = []
    for file in map(str, files):
        if Path(file).name.startswith("."):
            continue
        try:
            rows += face_rows(file, analyzer.detect(file))
        except ImageDecodeError as error:
            rows.append(error_row(file, error))
    return rows


def read(path):
    """The rows of a table in any format."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".parquet":
        return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    rows = []
    with path.open(newline="") as file:
        for record in csv.DictReader(file):
            points = [float(v) for k, v in record.items() if k.startswith("landmark_") and v]
            row = {name: record.get(name) or None for name in COLUMNS}
            confidence = [float(v) for k, v in record.items() if k.startswith("confidence_") and v]
            for name in ("score", "presence", "x0", "y0", "x1", "y1", "pitch", "yaw", "roll"):
                row[name] = None if row[name] is None else float(row[name])
            row["face"] = None if row["face"] is None else int(row["face"])
            rows.append({**row, "landmarks": points or None, "confidence": confidence or None})
    return rows


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_has_the_rows_of_detect(folder, expected, tmp_path, capsys, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"faces{suffix}"
    assert main(["batch", str(folder), "--out", str(out), "--workers", "1"]) == 1
    assert read(out) == expected
    assert [row["file"] for row in expected if row["error"]] == [str(folder / "c.jpg")]
    assert len(expected) == 5
    captured = capsys.readouterr()
    assert "4 faces in 4 files" in captured.out
    assert "1 failed" in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        out.name,
        f"{out.name}.done",
        "photos",
    ]


def test_two_workers_give_the_rows_of_one_in_the_same_order(photos, tmp_path, analyzer):
    files = [str(path) for path in sorted(photos.glob("*.*g"))] * 6
    *_, last = run_batch(files, tmp_path / "faces.jsonl", BatchOptions(), workers=2)
    assert read(tmp_path / "faces.jsonl") == rows_of(files[:6], analyzer) * 6
    assert (last.files, last.faces, last.failed) == (36, 48, 0)


def test_csv_has_a_column_a_coordinate(photos, tmp_path):
    out = tmp_path / "faces.csv"
    pattern = str(photos / "astro*.png")
    assert main(["batch", pattern, "--out", str(out), "--workers", "1"]) == 0
    header = out.read_text().splitlines()[0].split(",")
    assert header[:2] == ["file", "face"]
    assert header[12:14] == ["landmark_0_x", "landmark_0_y"]
    assert header[147:149] == ["landmark_67_y", "confidence_0"]
    assert header[-3:] == ["confidence_66", "confidence_67", "error"]


def test_progress_without_a_terminal_is_a_line_now_and_then(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(asmnet.commands.progress, "LINE_SECONDS", 0)
    main(["batch", str(folder), "--out", str(tmp_path / "faces.jsonl"), "--workers", "1"])
    first, *_ = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"4 of 4 images, \d+\.\d images/s, 00:00 left, 4 faces, 1 failed", first)


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_folder_gives_an_empty_table_and_is_told(tmp_path, capsys, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "empty").mkdir()
    out = tmp_path / f"faces{suffix}"
    assert main(["batch", str(tmp_path / "empty"), "--out", str(out)]) == 1
    assert read(out) == []
    assert "no file was found" in capsys.readouterr().err


def test_what_is_left_out_is_told(folder, tmp_path, monkeypatch, capsys):
    for name in ("a.HEIC", "b.heic", "c.mov", "nothing"):
        (folder / name).touch()
    # As without pillow-heif.
    monkeypatch.setattr("asmnet.sources.image_suffixes", lambda: {".png", ".jpg"})
    out = tmp_path / "faces.jsonl"
    assert main(["batch", str(folder), "--out", str(out), "--workers", "1"]) == 1
    told = capsys.readouterr().err
    for part in ("2 .heic", "1 .mov", "1 .txt", "1 without a suffix", "asmnet[heic]"):
        assert part in told


@pytest.mark.parametrize(("pixels", "failed"), [(512 * 512 - 1, 1), (512 * 512, 0)])
def test_max_pixels(photos, tmp_path, pixels, failed):
    (tmp_path / "list").write_text(str(photos / "astronaut.png"))
    out = tmp_path / "faces.jsonl"
    options = ["--workers", "1", "--max-pixels", str(pixels)]
    assert main(["batch", str(tmp_path / "list"), "--out", str(out), *options]) == failed
    (row,) = read(out)
    assert ("--max-pixels" in (row["error"] or "")) == failed


def test_crops(folder, tmp_path):
    out, crops = tmp_path / "faces.jsonl", tmp_path / "crops"
    options = ["--workers", "1", "--crops", str(crops), "--crop-size", "64", "--max-faces", "2"]
    assert main(["batch", str(folder), "--out", str(out), *options]) == 1
    files = sorted(str(path.relative_to(crops)) for path in crops.rglob("*.jpg"))
    assert files == ["b.png-0.jpg", "deep/a.JPG-0.jpg", "deep/a.JPG-1.jpg"]
    with Image.open(crops / "b.png-0.jpg") as crop:
        assert (crop.size, crop.mode) == ((64, 64), "RGB")
    assert len(read(out)) == 4


def test_crops_among_the_photos_are_refused(folder, tmp_path, capsys):
    out = str(tmp_path / "faces.jsonl")
    for source in (str(folder), str(folder / "**" / "*.png")):
        assert main(["batch", source, "--out", out, "--crops", str(folder / "crops")]) == 2
        assert "outside" in capsys.readouterr().err


# --- going on ---------------------------------------------------------------------------------


def start(*arguments, **options):
    command = [sys.executable, "-m", "asmnet", "batch", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition, process):
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < end
        time.sleep(0.005)


def files_done(out):
    state = Path(f"{out}.state")
    return json.loads(state.read_text())["progress"]["files"] if state.exists() else 0


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_no_kill_loses_or_doubles_a_row(photos, tmp_path, analyzer):
    # A shell has its background jobs ignore SIGINT, and their children would as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    few = [*sorted(photos.glob("*.*g")), tmp_path / "broken.jpg"]
    listing, out = tmp_path / "list.txt", tmp_path / "faces.csv"
    copies = 100  # enough that no run ends by itself before it is stopped, on a busy machine too
    listing.write_text("\n".join(map(str, few * copies)))
    arguments = [listing, "--out", out, "--resume", "--workers"]
    journal = Path(f"{out}.partial")

    # Rows that no state has counted yet.
    run = start(*arguments, 1)
    wait_for(lambda: journal.exists() and journal.stat().st_size > 0, run)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    run.kill()
    run.communicate()
    assert not out.exists()
    # The workers end by themselves.
    end = time.monotonic() + 30
    while any(alive(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)

    # Ctrl-C on a terminal reaches the workers as well.
    before = files_done(out)
    size = journal.stat().st_size
    run = start(*arguments, 1, start_new_session=True)
    wait_for(lambda: journal.stat().st_size > size + 20_000, run)
    os.killpg(run.pid, signal.SIGINT)
    errors = run.communicate()[1]
    assert run.returncode == 130
    assert "--resume goes on" in errors
    assert "Traceback" not in errors
    assert before < files_done(out) < len(few) * copies

    # A state in the middle of a run, and rows after it.
    before = files_done(out)
    run = start(*arguments, 1)
    wait_for(lambda: files_done(out) > before, run)
    run.kill()
    run.communicate()
    assert not out.exists()

    run = start(*arguments, 2)
    run.communicate()
    assert run.returncode == 1
    assert read(out) == rows_of(few, analyzer) * copies


def test_closing_the_steps_saves_and_goes_on_with_more_files(photos, tmp_path, analyzer):
    files, out = [str(photos / "astronaut.png")] * 60, tmp_path / "faces.jsonl"
    with closing(run_batch(files, out, BatchOptions())) as steps:
        while next(steps).files == 0:
            pass
    done = files_done(out)
    assert 0 < done < 60
    with Path(f"{out}.partial").open("a") as journal:
        journal.write('{"half a row')
    steps = run_batch(files + files[:5], out, BatchOptions(), resume=True)
    assert next(steps).files == done
    assert [*steps][-1].files == 65
    assert read(out) == rows_of(files[:1], analyzer) * 65


@pytest.fixture
def unfinished(folder, tmp_path):
    """A run of the folder that was stopped before its end."""
    out = tmp_path / "faces.jsonl"
    files = list(image_files(str(folder))) * 20
    with closing(run_batch(files, out, BatchOptions())) as steps:
        while next(steps).files == 0:
            pass
    return out, files


def test_other_files_or_options_are_not_mixed(unfinished):
    out, files = unfinished
    journal = Path(f"{out}.partial").read_bytes()
    for changed in (files[1:], files[:2], []):
        with pytest.raises(InvalidInputError, match="list of files changed"):
            next(run_batch(changed, out, BatchOptions(), resume=True))
    with pytest.raises(InvalidInputError, match=r"options changed: min_score \S+ -> 0\.6"):
        next(run_batch(files, out, BatchOptions(min_score=0.6), resume=True))
    with pytest.raises(InvalidInputError, match="max_faces None -> 1"):
        next(run_batch(files, out, BatchOptions(max_faces=1), resume=True))
    assert Path(f"{out}.partial").read_bytes() == journal


def test_damaged_journal_and_state(unfinished):
    out, files = unfinished
    journal, state = Path(f"{out}.partial"), Path(f"{out}.state")
    rows = journal.read_bytes()
    journal.write_bytes(rows[:-1])
    with pytest.raises(InvalidInputError, match="rows are lost"):
        next(run_batch(files, out, BatchOptions(), resume=True))
    state.write_text("{}")
    with pytest.raises(InvalidInputError, match="not the state of a run"):
        next(run_batch(files, out, BatchOptions(), resume=True))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_files(tmp_path):
    def peak(files):
        names = (str(tmp_path / f"no-photo-{i}.jpg") for i in range(files))
        out = tmp_path / f"{files}.csv"
        tracemalloc.start()
        for _ in run_batch(names, out, BatchOptions()):
            pass
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        with out.open() as rows:
            assert sum(1 for _ in rows) == files + 1
        return highest

    peak(100)  # what is loaded once
    assert peak(4000) < 1.3 * peak(400)


def test_names_are_taken_no_faster_than_they_are_done(tmp_path):
    taken = count()
    names = (f"{tmp_path}/no-photo-{next(taken)}.jpg" for _ in iter(int, 1))
    with closing(run_batch(names, tmp_path / "faces.jsonl", BatchOptions())) as steps:
        for progress in steps:
            if progress.files >= 400:
                break
    assert next(taken) - progress.files <= CHUNK_SIZE * CHUNKS_AHEAD


def test_a_worker_that_dies_is_told(photos, tmp_path):
    out = tmp_path / "faces.jsonl"
    files = [str(photos / "astronaut.png")] * 400
    run = start("-", "--out", out, "--workers", "1", stdin=subprocess.PIPE)
    run.stdin.write("\n".join(files))
    run.stdin.flush()
    journal = Path(f"{out}.partial")
    wait_for(lambda: journal.exists() and journal.stat().st_size > 0, run)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    if not children.exists():
        run.communicate()
        pytest.skip("needs /proc to find the worker")
    for pid in map(int, children.read_text().split()):
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    errors = run.communicate()[1]
    assert run.returncode == 1
    assert "a worker process was killed" in errors
    assert "--resume goes on" in errors
    assert 0 < files_done(out) < 400


# --- sources and wrong use --------------------------------------------------------------------


def test_list_from_standard_input(photos, tmp_path, analyzer):
    files = [photos / "astronaut.png", photos / "apollo11_crew.jpg"]
    out = tmp_path / "faces.jsonl"
    run = start("-", "--out", out, "--workers", "1", stdin=subprocess.PIPE, cwd=photos)
    run.communicate("astronaut.png\r\n\napollo11_crew.jpg")
    assert run.returncode == 0
    rows = rows_of(files, analyzer)
    assert read(out) == [{**row, "file": Path(row["file"]).name} for row in rows]


def test_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x/b.jpg", "x/a.png", "x/c.txt", "x/y/z.webp", "x/.h/h.jpg", "w.tif", "list"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"q.jpg\r\n\nx/\xff.jpg\n" if name == "list" else b"")
    Path("x/y/back").symlink_to(tmp_path / "x")

    def names(source):
        return [Path(name).as_posix() for name in image_files(source)]

    assert names("x") == ["x/a.png", "x/b.jpg", "x/y/z.webp"]
    assert names(".") == ["w.tif", "x/a.png", "x/b.jpg", "x/y/z.webp"]
    assert names("list") == ["q.jpg", os.fsdecode(b"x/\xff.jpg")]
    assert names("x/*") == ["x/a.png", "x/b.jpg", "x/c.txt"]
    assert names("**/*.[jw]*") == ["x/b.jpg", "x/y/z.webp"]
    assert names(str(tmp_path / "x" / "**")) == [
        (tmp_path / "x" / name).as_posix() for name in ("a.png", "b.jpg", "c.txt", "y/z.webp")
    ]
    assert names("*/y/*") == ["x/y/z.webp"]
    assert names("x/.h/*.jpg") == ["x/.h/h.jpg"]
    for wrong in ("gone", "gone/*.jpg", "x/a.png", "**/x/**"):
        with pytest.raises(InvalidInputError):
            image_files(wrong)


def test_a_folder_is_searched_for_all_that_can_be_decoded_and_tells_the_rest(tmp_path):
    taken = ["a.JPG", "b.jfif", "c.jpe", "d.mpo", "e.ppm", "y/f.jp2"]
    others = ["g.mov", "h.MOV", "i.txt", "y/j.mov", "y/noname"]
    for name in (*taken, *others, ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    left_out = Counter()
    names = [Path(name).relative_to(tmp_path) for name in image_files(str(tmp_path), left_out)]
    assert [name.as_posix() for name in names] == taken
    assert left_out == {".mov": 3, ".txt": 1, "": 1}


@pytest.mark.skipif(os.name == "nt", reason="links")
@pytest.mark.parametrize("pattern", ["", "/**", "/**/*.jpg", "/*/*"])
def test_nothing_on_the_disk_stops_a_batch(tmp_path, photos, monkeypatch, pattern):
    source = tmp_path / "photos"
    for name in ("closed", "open"):
        (source / name).mkdir(parents=True)
        shutil.copy(photos / "astronaut.png", source / name / "good.jpg")
    (source / "open" / "loop.jpg").symlink_to("loop.jpg")
    (source / "open" / "loop").symlink_to("loop")
    os.mkfifo(source / "open" / "pipe.jpg")
    real = os.scandir

    def scandir(folder):
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    names = list(image_files(f"{source}{pattern}"))
    assert len(names) == len(set(names))
    chunk = analyze(BatchOptions(), names)
    rows = {row["file"]: row["error"] for row in map(json.loads, chunk.rows.splitlines())}
    assert "Permission denied" in rows.pop(f"{source}/closed")
    assert "pipe or device" in rows.pop(f"{source}/open/pipe.jpg")
    assert "symbolic links" in rows.pop(f"{source}/open/loop.jpg")
    assert rows.pop(f"{source}/open/good.jpg") is None
    assert set(rows) <= {f"{source}/open/loop"}  # of a pattern that does not ask for images


@pytest.fixture
def deep(tmp_path):
    """1,200 folders, one in the other, with a file in the last."""
    folders = [tmp_path / "deep"]
    folders[0].mkdir()
    for _ in range(1200):
        folders.append(folders[-1] / "x")
        folders[-1].mkdir()
    (folders[-1] / "a.jpg").touch()
    yield folders[0]
    (folders[-1] / "a.jpg").unlink()
    for folder in reversed(folders):  # tools that clean up call themselves for each
        folder.rmdir()


def test_deeply_nested_folders(deep):
    for pattern in ("", "/**", "/**/*.jpg"):
        (name,) = image_files(f"{deep}{pattern}")
        assert name.endswith("x/x/a.jpg")


def test_a_name_that_is_not_unicode_is_spelled_out(tmp_path):
    row = error_row(os.fsdecode(b"\xff.jpg"), AsmnetError(os.fsdecode(b"\xff.jpg: no such file")))
    assert row["file"] == "\\udcff.jpg"
    assert row["error"] == "\\udcff.jpg: no such file"


def test_parquet_without_pyarrow_is_told_before_the_work(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["batch", str(folder), "--out", str(tmp_path / "faces.parquet")]) == 2
    assert "asmnet[parquet]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("out", ["faces.txt", "faces", "no/such/folder/faces.csv"])
def test_wrong_out(folder, tmp_path, capsys, out):
    assert main(["batch", str(folder), "--out", str(tmp_path / out)]) == 2
    assert "expected a name" in (err := capsys.readouterr().err) or "no folder" in err


@pytest.mark.parametrize(
    "arguments",
    [["x"], ["x", "--out"], ["--out", "f.csv"], ["x", "--out", "f.csv", "--workers", "0"]],
)
def test_wrong_use(arguments):
    with pytest.raises(SystemExit) as stop:
        main(["batch", *arguments])
    assert stop.value.code == 2
