"""Ray Data gives the rows of ``asmnet batch``."""

import json
import shutil
import sys
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")

from asmnet.cli import main  # noqa: E402  after the check that Ray is there
from asmnet.errors import InvalidInputError  # noqa: E402
from asmnet.ray import DetectFaces  # noqa: E402

# Ray warns about its own parts.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """Photos with faces and a broken one."""
    folder = tmp_path_factory.mktemp("photos")
    for path in photos.glob("*.*g"):
        shutil.copy(path, folder)
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def batch_rows(folder, tmp_path_factory):
    """What the command writes."""
    out = tmp_path_factory.mktemp("out") / "faces.jsonl"
    assert main(["batch", str(folder), "--out", str(out), "--workers", "1"]) == 1
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 9
    return rows


@pytest.fixture(scope="module")
def cluster():
    """A local Ray with two cores."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    yield
    ray.shutdown()


def test_two_workers_give_the_rows_of_the_command(cluster, folder, batch_rows):
    paths = [{"path": str(path)} for path in sorted(folder.iterdir())]
    rows = (
        ray.data.from_items(paths, override_num_blocks=4)
        .map_batches(DetectFaces, batch_size=2, concurrency=2)
        .take_all()
    )
    assert rows == batch_rows


def test_the_example_s_rows_are_those_of_the_command(
    cluster, folder, batch_rows, tmp_path, monkeypatch
):
    out = tmp_path / "faces"
    example = Path(__file__).parents[2] / "examples" / "ray_batch.py"
    monkeypatch.setattr(sys, "argv", [str(example), str(folder), str(out)])
    exec(compile(example.read_text(), example, "exec"), {"__name__": "__main__"})  # noqa: S102
    rows = ray.data.read_parquet(str(out)).take_all()
    key = ["file", "face"]
    assert sorted(rows, key=lambda row: [str(row[k]) for k in key]) == sorted(
        batch_rows, key=lambda row: [str(row[k]) for k in key]
    )


def test_contents_instead_of_paths(folder, batch_rows):
    files = sorted(folder.iterdir())
    detect = DetectFaces(max_faces=1)
    table = detect(
        {"path": [str(path) for path in files], "bytes": [path.read_bytes() for path in files]}
    )
    rows = [row for row in batch_rows if row["face"] in (0, None)]
    assert [{**row, "error": None} for row in table.to_pylist()] == [
        {**row, "error": None} for row in rows
    ]
    assert [row["error"] is None for row in table.to_pylist()].count(False) == 1


def test_no_path():
    with pytest.raises(InvalidInputError, match="path"):
        DetectFaces()({"file": ["a.jpg"]})
