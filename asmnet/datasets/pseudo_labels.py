"""Labels from a trained network for photos that nobody labelled: distillation by pseudo-labels.

A teacher sees each face in several boxes, straight and mirrored, and its answers are averaged;
faces of which it is not sure are left out. The file that comes out is read by ``fit`` where the
config names it as ``teacher_labels``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asmnet.datasets.licences import weights_licence
from asmnet.datasets.records import LabelledFace
from asmnet.datasets.splits import Split, part_of, youtube_person
from asmnet.detector import FaceDetector
from asmnet.errors import InvalidInputError
from asmnet.geometry import FloatArray, mirrored_rotation, nearest_rotation
from asmnet.image import ImageArray, load_image
from asmnet.landmarker import FaceLandmarker
from asmnet.schemes import IBUG_68, WFLW_98, WFLW_TO_IBUG, LandmarkScheme
from asmnet.weights import families

# Of these folders of the data root every photo is labelled.
FOLDERS = ("helen_unlabelled", "youtube_faces")
OPEN_FOLDER = "open"
# Finds the faces.
DETECTOR = "asmnet-face"
# A label file names what made it, and the licence of each, by which open configs judge it.
ROLES = ("teacher", "detector", "verifier")
LICENCE = "_licence"
BOXES = 4
BOX_SPREAD = 0.05
MIN_PRESENCE, MIN_CONFIDENCE = 0.9, 0.5
MIN_SIDE = 50  # pixels of the box's longer side: smaller faces are blurred when they fill a crop


def write_labels(
    weights: str,
    data: Path,
    out: Path,
    *,
    detector: str = DETECTOR,
    folders: Sequence[str] = FOLDERS,
) -> int:
    """Labels the faces of folders and returns how many.

    Args:
        weights: of a landmark network with confidence and presence.
        data: root of the data folders.
        out: an .npz file: source, name, landmarks (n, N, 2) of the network's layout in image
            pixels, rotation (n, 3, 3), and names and licences of teacher, detector and verifier.
        detector: finds the faces: a name of a family's, with its verifier, or other weights alone.
        folders: of the data root.

    Raises:
        InvalidInputError: the network gives no confidence, or there are no photos.
        WeightsError: weights cannot be used.
    """
    family = next((f for f in families().values() if f.detector == detector), None)
    used = {"teacher": weights, "detector": detector}
    if family is not None:
        used["verifier"] = family.verifier
    finder = FaceDetector(detector, verifier=used.get("verifier"), threads=1)
    landmarker = FaceLandmarker(weights, threads=1)
    rng = np.random.default_rng(0)
    rows: list[tuple[str, str, FloatArray, FloatArray]] = []
    photos = [(folder, path) for folder in folders for path in _photos(data, folder)]
    for folder, path in tqdm(photos, "photos"):
        image = load_image(path)
        for detection in finder.detect(image):
            if (detection.bbox[2:] - detection.bbox[:2]).max() < MIN_SIDE:
                continue
            answer = consider(landmarker, image, detection.bbox, detection.keypoints, rng)
            if answer is not None:
                rows.append((folder, path.relative_to(_root(data, folder)).as_posix(), *answer))
    if not rows:
        raise InvalidInputError(f"{data}: expected photos under {', '.join(folders)}, got none")
    source, name, landmarks, rotation = (np.array(column) for column in zip(*rows, strict=True))
    arrays: dict[str, Any] = {"source": source, "name": name}
    arrays |= {"landmarks": landmarks, "rotation": rotation}
    for role, name_of in used.items():
        arrays[role] = np.array(name_of)
        arrays[role + LICENCE] = np.array(weights_licence(name_of) or "unknown")
    with out.open("wb") as file:  # for a path NumPy appends its own suffix
        np.savez_compressed(file, **arrays)
    return len(rows)


def consider(
    landmarker: FaceLandmarker,
    image: ImageArray,
    bbox: FloatArray,
    keypoints: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray] | None:
    """Mean landmarks (N, 2) and rotation (3, 3) of several looks at a face, or None if unsure.

    Raises:
        InvalidInputError: the network gives no confidence.
    """
    width = image.shape[1]
    extent = np.tile(bbox[2:] - bbox[:2], 2)
    boxes = bbox + rng.normal(0, BOX_SPREAD, (BOXES, 4)) * extent
    straight = landmarker.predict(image, boxes, keypoints=np.tile(keypoints, (BOXES, 1, 1)))
    mirrored_boxes = np.stack(
        [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1
    )
    swapped = keypoints[[1, 0, 2, 4, 3]] * [-1, 1] + [width, 0]
    mirrored = landmarker.predict(
        np.ascontiguousarray(image[:, ::-1]),
        mirrored_boxes,
        keypoints=np.tile(swapped, (BOXES, 1, 1)),
    )
    confidence = [f.confidence.mean() for f in straight + mirrored if f.confidence is not None]
    presence = [f.presence for f in straight + mirrored if f.presence is not None]
    if not confidence or not presence:
        raise InvalidInputError("expected weights that give confidence and presence")
    if np.mean(presence) < MIN_PRESENCE or np.mean(confidence) < MIN_CONFIDENCE:
        return None
    points = [f.landmarks for f in straight]
    points += [landmarker.scheme.mirrored(f.landmarks, width) for f in mirrored]
    rotations = [f.pose.rotation for f in straight]
    rotations += [mirrored_rotation(f.pose.rotation) for f in mirrored]
    return np.mean(points, axis=0), nearest_rotation(np.mean(rotations, axis=0))


def read_labels(
    path: Path, data: Path, split: Split, scheme: LandmarkScheme = IBUG_68
) -> list[LabelledFace]:
    """The faces of a part that :func:`write_labels` labelled; 98 points serve for 68 too.

    Raises:
        InvalidInputError: there is no such file, or its points are of another layout.
    """
    if not path.exists():
        raise InvalidInputError(f"{path}: expected what `asmnet-train label` writes, got no file")
    faces = []
    with np.load(path) as labels:
        landmarks = labels["landmarks"]
        if scheme == IBUG_68 and landmarks.shape[1] == len(WFLW_98):
            landmarks = WFLW_TO_IBUG @ landmarks
        if landmarks.shape[1] != len(scheme):
            raise InvalidInputError(
                f"{path}: expected {len(scheme)} points, got {landmarks.shape[1]}"
            )
        columns = (labels["source"], labels["name"], landmarks, labels["rotation"])
        for source, file, points, rotation in zip(*columns, strict=True):
            group = youtube_person(file) if source == "youtube_faces" else file
            if part_of(group) == split:
                image = _root(data, str(source)) / file
                faces.append(LabelledFace(image, points, rotation, str(source), scheme))
    return faces


def _root(data: Path, folder: str) -> Path:
    """What the names of a folder's photos start from."""
    return data / folder if folder == OPEN_FOLDER else data / folder / "images"


def _photos(data: Path, folder: str) -> list[Path]:
    pattern = "*/*.jpg" if folder == OPEN_FOLDER else "*.jpg"  # its parts have a licence each
    return sorted(_root(data, folder).glob(pattern))
