"""A folder of rendered pictures: what is refused, resumed and written."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from asmnet.datasets.synthetic import read_synthetic
from asmnet.errors import InvalidInputError
from asmnet.synthetic import render
from asmnet.synthetic.mesh import Mesh
from asmnet.synthetic.render import Settings, check_assets, synthesize, write_labels
from asmnet.training.cli import main


def write_assets(data: Path) -> None:
    folder = data / "makehuman"
    for name in (
        "mesh/base.obj", "landmarks.json", "skins/textures/a.webp", "eyes/materials/blue.webp",
        "eyebrows/b/b.mhclo", "eyelashes/l/l.mhclo", "teeth/t/t.mhclo", "hair/h/h_diffuse.webp",
        "teeth/materials/teeth.webp", "tongue/tongue01/x", "targets/nose/nose-up.target.gz",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (data / "hdri").mkdir()
    (data / "hdri" / "sky.hdr").touch()


def write_picture(out: Path, number: int) -> None:
    """What a process leaves of a finished picture."""
    rng = np.random.default_rng(number)
    picture = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out / "images" / f"{number:08}.jpg"), picture)
    points = {n: rng.uniform(20, 140, (n, 2)).round(2).tolist() for n in (68, 98)}
    labels = {
        "name": f"{number:08}.jpg", "seed": [1, number], "box": [20, 20, 140, 140],
        "points68": points[68], "points68_true": points[68],
        "points98": points[98], "points98_true": points[98],
        "visible68": [True] * 68, "visible98": [True] * 98, "rotation": np.eye(3).tolist(),
        "attributes": {"person": {"age": 0.5}},
    }  # fmt: skip
    (out / "labels" / f"{number:08}.json").write_text(json.dumps(labels))


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    write_assets(tmp_path)
    monkeypatch.setattr(render.metadata, "version", lambda _: "4.5.15")
    return tmp_path


def test_labels_of_all_pictures_become_a_set(tmp_path):
    out = tmp_path / "synthetic"
    for number in (1, 2, 3):
        write_picture(out, number)
    write_labels(out, [1, 2, 3])
    faces = read_synthetic(tmp_path, "train") + read_synthetic(tmp_path, "val")
    assert {face.image.name for face in faces} == {f"{n:08}.jpg" for n in (1, 2, 3)}
    known = json.loads((out / "labels" / "00000002.json").read_text())
    (second,) = (f for f in faces if f.image.name == "00000002.jpg")
    assert second.landmarks.tolist() == known["points68"]
    with np.load(out / "labels.npz") as labels:
        assert labels["visible98"].dtype == bool
        assert labels["seed"].tolist() == [[1, 1], [1, 2], [1, 3]]
        assert json.loads(labels["attributes"][0]) == {"person": {"age": 0.5}}
    assert cv2.imread(str(out / "sheet.jpg")).shape == (320, 6 * 320, 3)
    assert not list(out.rglob("*.tmp*"))


def test_labels_can_be_written_as_json():
    values = {"seen": np.array([True, False]), "points": np.array([[1.2345, 2]]),
              "rotation": np.full((3, 3), 0.1234567)}  # fmt: skip
    read = json.loads(json.dumps(values, default=render._plain))
    assert read == {
        "seen": [True, False], "points": [[1.23, 2.0]], "rotation": [[0.123457] * 3] * 3
    }  # fmt: skip


def test_damaged_labels_are_named_and_the_set_is_left_as_it_was(tmp_path):
    write_picture(tmp_path, 1)
    write_labels(tmp_path, [1])
    before = (tmp_path / "labels.npz").read_bytes()
    (tmp_path / "labels" / "00000002.json").write_text('{"name": "x"')
    with pytest.raises(InvalidInputError, match=r"00000002\.json: expected labels; delete it"):
        write_labels(tmp_path, [1, 2])
    assert (tmp_path / "labels.npz").read_bytes() == before


def test_a_folder_goes_on_only_with_its_own_settings(data):
    out = data / "synthetic"
    out.mkdir()
    (out / "settings.json").write_text(json.dumps(asdict(Settings(seed=1))))
    write_picture(out, 1)
    write_picture(out, 2)
    arguments = {"processes": 1, "resume": True}
    assert synthesize(data, out, 2, Settings(seed=1), **arguments) == 2  # nothing was left to do
    with pytest.raises(InvalidInputError, match=r"expected pictures of .*seed=2.*, got .*seed=1"):
        synthesize(data, out, 2, Settings(seed=2), **arguments)
    with pytest.raises(InvalidInputError, match="expected an empty folder, or --resume"):
        synthesize(data, out, 2, Settings(seed=1), processes=1, resume=False)


def test_other_files_are_not_mixed_with_pictures(data):
    (data / "mine").mkdir()
    (data / "mine" / "thesis.txt").touch()
    with pytest.raises(InvalidInputError, match="expected an empty folder, got one with other"):
        synthesize(data, data / "mine", 2, Settings(seed=1), processes=1, resume=True)
    assert [p.name for p in (data / "mine").iterdir()] == ["thesis.txt"]


def test_a_missing_asset_is_named(data):
    check_assets(data)
    (data / "makehuman" / "landmarks.json").unlink()
    with pytest.raises(InvalidInputError, match=r"landmarks\.json: expected an asset"):
        check_assets(data)
    (data / "makehuman" / "landmarks.json").touch()
    (data / "hdri" / "sky.hdr").unlink()
    with pytest.raises(InvalidInputError, match="hdri: expected light environments"):
        check_assets(data)


@pytest.mark.parametrize("version", ["4.4.0", "5.0.1"])
def test_another_blender_is_refused(data, monkeypatch, version, capsys):
    monkeypatch.setattr(render.metadata, "version", lambda _: version)
    arguments = ["--data", str(data), "--out", str(data / "out"), "--count", "1"]
    assert main(["synthesize", *arguments]) == 1
    message = capsys.readouterr().err
    assert "expected Blender 4.5 as a Python module (pip install 'asmnet[synthetic]'" in message
    assert f"got bpy {version}" in message
    assert not (data / "out").exists()


def test_pictures_are_tried_on_when_processes_are_replaced(data, monkeypatch, capsys):
    """Each of the empty assets fails, and none is waited for."""
    monkeypatch.setattr(render, "PICTURES_A_PROCESS", 1)
    with pytest.raises(InvalidInputError, match="expected 5 pictures, got 0"):
        synthesize(data, data / "out", 5, Settings(1), processes=2, resume=False)
    told = capsys.readouterr().err
    assert [f"picture {number}: " in told for number in range(1, 6)] == [True] * 5


def test_rendering_needs_no_torch_and_blender_only_in_the_end():
    modules = "asmnet.training.cli, asmnet.synthetic.render, asmnet.synthetic.scene"
    code = f"import {modules}, sys; print({{'torch', 'bpy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(sys.platform == "win32", reason="asks by POSIX' signals")
def test_workers_end_with_their_parent():
    code = """if True:
        import multiprocessing, os, time
        from concurrent.futures import ProcessPoolExecutor
        from asmnet.synthetic.render import _start_worker
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(1, context, initializer=_start_worker)
            print(pool.submit(os.getpid).result(), flush=True)
            time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        worker = int(parent.stdout.readline())
        assert running(worker)
        parent.kill()
    deadline = time.monotonic() + 60
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(worker)


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")  # of a dead one whom nobody has asked yet: Z
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_head_in_its_setting_becomes_a_picture(tmp_path):
    """A ball with an eye stands in for the head: no assets of others are needed."""
    pytest.importorskip("bpy")
    from asmnet.synthetic.head import Head, Piece
    from asmnet.synthetic.identity import Wardrobe, random_person
    from asmnet.synthetic.scene import PARTS
    from asmnet.synthetic.scene import render as render_scene
    from asmnet.synthetic.setting import random_setting

    latitude, longitude = np.meshgrid(
        np.linspace(0.05, np.pi - 0.05, 12), np.linspace(0, 2 * np.pi, 24, endpoint=False),
        indexing="ij",
    )  # fmt: skip
    ball = np.stack(
        [np.sin(latitude) * np.sin(longitude), np.cos(latitude),
         np.sin(latitude) * np.cos(longitude)], axis=-1,
    ).reshape(-1, 3)  # fmt: skip
    faces = np.array(
        [[24 * i + j, 24 * i + 24 + j, 24 * i + 24 + (j + 1) % 24, 24 * i + (j + 1) % 24]
         for i in range(11) for j in range(24)]
    )  # fmt: skip
    mesh = Mesh(ball, faces, np.zeros((len(faces), 4, 2)), np.array(["body"] * len(faces)))
    eye = Mesh(0.1 * ball + [0, 0, 1], faces, mesh.uv, mesh.groups)
    numbers, collar = np.arange(len(ball)), np.zeros(len(faces), np.int64)
    head = Head(ball, mesh, numbers, [Piece("eye", eye)], np.zeros(len(ball)), collar,
                np.zeros((2, 3)), np.resize(ball, (98, 3)))  # fmt: skip
    for name in ("skin", "iris"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((4, 4, 3), 120, np.uint8))
    cv2.imwrite(str(tmp_path / "sky.hdr"), np.ones((8, 16, 3), np.float32))
    wardrobe = Wardrobe(("nose/nose-up",), *((name,) for name in "abcdef"))
    person = random_person(np.random.default_rng(1), wardrobe)
    setting = random_setting(np.random.default_rng(1), 1)
    camera = setting.camera(head.points, 32)
    vertices, seen = render_scene(
        head, person, setting, camera, environment=tmp_path / "sky.hdr",
        skin=tmp_path / "skin.png", iris=tmp_path / "iris.png", samples=1, seed=1,
        target=tmp_path / "picture.png", mask=tmp_path / "mask.png",
    )  # fmt: skip
    assert cv2.imread(str(tmp_path / "picture.png")).shape == (32, 32, 3)
    mask = cv2.imread(str(tmp_path / "mask.png"), cv2.IMREAD_GRAYSCALE)
    assert mask.shape == (32, 32)
    assert {0, PARTS.index("skin")} <= set(mask.ravel().tolist()) <= {0, 1, 3}
    x, y = camera.project(0.9 * camera.rotation[:, 2][None])[0]
    assert mask[int(y), int(x)] > 0
    assert mask[0, 0] == 0
    assert not list(tmp_path.glob("*.exr"))
    assert vertices.shape == ball.shape
    assert 0 < np.linalg.norm(vertices - ball, axis=1).max() < 0.1  # subdivided
    towards = camera.rotation[:, 2]
    assert seen(np.array([1.1 * towards, -1.1 * towards])).tolist() == [True, False]
