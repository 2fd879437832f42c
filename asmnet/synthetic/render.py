"""Many pictures with their labels: one seed a picture, several processes, ready to be resumed.

A folder gets ``images/00000001.jpg`` …, ``labels/00000001.json`` … as the pictures are done, and at
the end ``labels.npz``, all labels in one, and ``sheet.jpg``, the first pictures with their points.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from asmnet.errors import AsmnetError, InvalidInputError
from asmnet.geometry import points_box
from asmnet.synthetic.head import MakeHuman
from asmnet.synthetic.identity import Wardrobe, random_person
from asmnet.synthetic.labels import CONTOUR, rotation_of, to_68, visible_outline
from asmnet.synthetic.setting import random_setting

SETTINGS, LABELS, SHEET = "settings.json", "labels.npz", "sheet.jpg"
VERSION = 2  # of the generator: another one draws other faces of the same seed
SHEET_PICTURES = 24
PICTURES_A_PROCESS = 500
# Arrays of labels.npz by their keys.
ARRAYS = (
    "points68", "points68_true", "points98", "points98_true", "visible68", "visible98",
    "rotation", "box", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What makes the pictures of a folder.

    Attributes:
        seed: of them all; a picture's own is this and its number.
        size: side in pixels.
        samples: of each pixel.
        masks: whether ``masks/00000001.png`` … tell of each pixel what is seen there.
        version: of the generator.
    """

    seed: int
    size: int = 160
    samples: int = 8
    masks: bool = False
    version: int = VERSION


@dataclass(frozen=True)
class Task:
    """A picture to be made."""

    data: Path
    out: Path
    number: int
    settings: Settings


def synthesize(
    data: Path, out: Path, count: int, settings: Settings, *, processes: int, resume: bool
) -> int:
    """Renders pictures 1 to ``count`` into a folder and returns how many it holds.

    Args:
        data: root with ``makehuman`` and ``hdri``.
        out: the folder.
        count: how many pictures it shall hold.
        settings: of the pictures.
        processes: that render at the same time.
        resume: go on in a folder that holds pictures of the same settings.

    Raises:
        InvalidInputError: no Blender 4.5, a missing asset, a folder that is not empty or holds
            other pictures, or pictures that could not be made.
    """
    check_blender()
    check_assets(data)
    _open_folder(out, settings, resume=resume)
    missing = [n for n in range(1, count + 1) if not _label_path(out, n).exists()]
    tasks = [Task(data, out, number, settings) for number in missing]
    failed = []
    with tqdm(desc="pictures", total=len(tasks)) as bar:
        # Blender keeps some memory of every scene, so processes are replaced now and then. All at
        # once: Python 3.11's own `max_tasks_per_child` waits for ever when the last one has ended.
        for start in range(0, len(tasks), processes * PICTURES_A_PROCESS):
            for number, error in _made(tasks[start:][: processes * PICTURES_A_PROCESS], processes):
                bar.update()
                if error is not None:
                    failed.append(number)
                    tqdm.write(f"{out}: picture {number}: {error}", file=sys.stderr)
    done = [n for n in range(1, count + 1) if _label_path(out, n).exists()]
    if done:
        write_labels(out, done)
    if failed:
        raise InvalidInputError(
            f"{out}: expected {count} pictures, got {len(done)}; --resume tries the others again"
        )
    return len(done)


def _made(tasks: Sequence[Task], processes: int) -> Iterator[tuple[int, str | None]]:
    """Makes the pictures of tasks in new processes; number and error, if any, as they are done.

    Raises:
        InvalidInputError: a process was ended from outside.
    """
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start_worker) as pool:
        futures = [pool.submit(_try, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise InvalidInputError(
                f"{tasks[0].out}: a process was ended from outside, for its memory perhaps; go on "
                "with --resume"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def check_blender() -> None:
    """Refuses another Blender than 4.5 before any process starts; InvalidInputError."""
    try:
        version = metadata.version("bpy")
    except metadata.PackageNotFoundError:
        version = "none"
    if version.split(".")[:2] != ["4", "5"]:
        raise InvalidInputError(
            "synthesize: expected Blender 4.5 as a Python module (pip install 'asmnet[synthetic]', "
            f"on Python 3.11), got bpy {version}"
        )


def check_assets(data: Path) -> list[Path]:
    """The light environments; LabelError or InvalidInputError for an asset that is missing."""
    folder = data / "makehuman"
    Wardrobe.of(folder)
    needed = [folder / "mesh" / "base.obj", folder / "landmarks.json"]
    needed += [folder / "teeth" / "materials" / "teeth.webp", folder / "tongue" / "tongue01"]
    for path in needed:
        if not path.exists():
            raise InvalidInputError(f"{path}: expected an asset of MakeHuman, got none")
    environments = sorted((data / "hdri").glob("*.hdr"))
    if not environments:
        raise InvalidInputError(f"{data / 'hdri'}: expected light environments (.hdr), got none")
    return environments


def _open_folder(out: Path, settings: Settings, *, resume: bool) -> None:
    path = out / SETTINGS
    if path.exists():
        if not resume:
            raise InvalidInputError(f"{out}: expected an empty folder, or --resume")
        try:
            known = Settings(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"{path}: expected settings of pictures: {error}") from error
        if known != settings:
            raise InvalidInputError(f"{out}: expected pictures of {settings}, got {known}")
    elif out.exists() and any(out.iterdir()):
        raise InvalidInputError(f"{out}: expected an empty folder, got one with other files")
    for folder in ("images", "labels", *(("masks",) if settings.masks else ())):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(settings)).encode())


def _label_path(out: Path, number: int) -> Path:
    return out / "labels" / f"{number:08}.json"


def _start_worker() -> None:
    """Silences Blender, which tells every step on standard output beside Python's own.

    And ends the process with its parent, however that ends: else it would wait for tasks for ever.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def _try(task: Task) -> tuple[int, str | None]:
    try:
        make(task)
    except AsmnetError as error:
        return task.number, str(error)
    except Exception as error:  # noqa: BLE001 - a picture that fails does not end the others
        return task.number, f"could not be made: {error!r}"
    return task.number, None


@cache
def _material(data: Path) -> tuple[MakeHuman, Wardrobe, list[Path]]:
    folder = data / "makehuman"
    return MakeHuman(folder), Wardrobe.of(folder), check_assets(data)


def make(task: Task) -> None:
    """Renders a picture and writes it, then its labels."""
    from asmnet.synthetic.scene import render

    makehuman, wardrobe, environments = _material(task.data)
    settings = task.settings
    rng = np.random.default_rng([settings.version, settings.seed, task.number])
    person = random_person(rng, wardrobe)
    setting = random_setting(rng, len(environments))
    quality = int(rng.integers(70, 96))
    head = makehuman.head(person, setting.neck)
    camera = setting.camera(head.points, settings.size)
    temporary = task.out / "images" / f"{task.number:08}.tmp.png"
    mask = task.out / "masks" / f"{task.number:08}.tmp.png" if settings.masks else None
    try:
        vertices, seen = render(
            head,
            person,
            setting,
            camera,
            environment=environments[setting.environment],
            skin=makehuman.folder / "skins" / "textures" / f"{person.skin}.webp",
            iris=makehuman.folder / "eyes" / "materials" / f"{person.iris}.webp",
            samples=settings.samples,
            seed=int(rng.integers(2**31)),
            target=temporary,
            mask=mask,
        )
        picture = cv2.imread(str(temporary))
    finally:
        temporary.unlink(missing_ok=True)
    if picture is None or picture.shape != (settings.size, settings.size, 3):
        raise InvalidInputError(f"expected a picture of {settings.size} pixels from Blender")
    landmarks = makehuman.landmarks
    true = {count: landmarks.on(vertices, count, person.brows) for count in (68, 98)}
    true[98][96:98] = head.pupils
    pixels = {count: camera.project(points) for count, points in true.items()}
    lines = {i: camera.project(line) for i, line in landmarks.lines_on(vertices).items()}
    middle = true[98].mean(axis=0)
    upright = np.subtract(*camera.project(np.stack([middle + np.array([0, 0.1, 0]), middle])))
    outline98 = visible_outline(pixels[98], lines, upright)
    outline68 = to_68(outline98, pixels[68])
    visible = {count: seen(points) for count, points in true.items()}
    labels: dict[str, Any] = {
        "name": f"{task.number:08}.jpg",
        "seed": [settings.seed, task.number],
        "points68": outline68,
        "points68_true": pixels[68],
        "points98": outline98,
        "points98_true": pixels[98],
        "visible68": visible[68],
        "visible98": visible[98],
        "rotation": rotation_of(np.eye(3), camera, middle),
        "box": points_box(outline68),
        "attributes": {
            "person": {k: v for k, v in asdict(person).items() if k not in ("shape", "expression")},
            "expression": person.expression,
            "distance_dm": setting.distance,
            "light": setting.light,
            "environment": environments[setting.environment].stem,
        },
    }
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    if mask is not None:
        mask.replace(mask.with_name(f"{task.number:08}.png"))
    write_whole(task.out / "images" / labels["name"], jpeg.tobytes())
    write_whole(_label_path(task.out, task.number), json.dumps(labels, default=_plain).encode())


def write_labels(out: Path, numbers: Sequence[int]) -> None:
    """Writes ``labels.npz`` and ``sheet.jpg`` of the pictures with these numbers.

    Raises:
        InvalidInputError: the labels of a picture are damaged.
    """
    rows = []
    for number in numbers:
        path = _label_path(out, number)
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            rows.append({key: row[key] for key in ("name", "attributes", *ARRAYS)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(
                f"{path}: expected labels; delete it and --resume: {error!r}"
            ) from error
    arrays: dict[str, Any] = {
        key: np.array([row[key] for row in rows]) for key in ("name", *ARRAYS)
    }
    arrays["attributes"] = np.array([json.dumps(row["attributes"]) for row in rows])
    temporary = out / f"{LABELS}.tmp"
    with temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    temporary.replace(out / LABELS)
    sheet = contact_sheet(out, rows[:SHEET_PICTURES])
    write_whole(out / SHEET, cv2.imencode(".jpg", sheet)[1].tobytes())


def contact_sheet(out: Path, rows: Sequence[dict[str, Any]], columns: int = 6) -> Any:
    """Pictures twice as large with the 68 points: visible green, hidden red; BGR."""
    tiles = []
    for row in rows:
        picture = cv2.imread(str(out / "images" / row["name"]))
        if picture is None:
            raise InvalidInputError(f"{out / 'images' / row['name']}: expected a picture")
        tile = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for i, (x, y) in enumerate(row["points68"]):
            # A visible outline is seen, whatever the jaw's own point is.
            seen = row["visible68"][i] or i < CONTOUR // 2 + 1
            centre = (round(2 * x - 0.5), round(2 * y - 0.5))
            cv2.circle(tile, centre, 1, (0, 255, 0) if seen else (0, 0, 255), -1)
        tiles.append(tile)
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def write_whole(path: Path, content: bytes) -> None:
    """Writes beside, then renames: a kill leaves the old file or the new one, nothing between."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _plain(value: Any) -> Any:
    """NumPy's arrays and numbers for JSON, coordinates to a hundredth of a pixel."""
    array = np.asarray(value)
    if array.dtype == bool:
        return array.tolist()
    return np.round(array, 6 if array.shape == (3, 3) else 2).tolist()
