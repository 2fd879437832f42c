"""FaceLandmarker: boxes to landmarks and head pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asmnet._checks import float_array
from asmnet.errors import InvalidInputError, WeightsError
from asmnet.geometry import (
    FloatArray,
    crop_matrices,
    inverse_affine,
    longer_sides,
    paired_iou,
    points_box,
    roll_matrix,
    rotation_to_euler,
    transformed,
    upright_angles,
)
from asmnet.image import ChannelOrder, ImageArray, ImageSource, crop_images, load_image
from asmnet.schemes import IBUG_68, SCHEMES, LandmarkScheme
from asmnet.session import OnnxSession, RuntimeOptions, Weights
from asmnet.types import Face, HeadPose
from asmnet.weights import choose_landmarker

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Boxes beyond this many pixels from the origin are mistakes, not faces.
MAX_COORDINATE = 1e6
# So are those with a shorter side than this, in pixels.
MIN_SIDE = 1e-3

# Refinement pass: a face is cropped again, by the box and in-plane rotation that its points show,
# where these differ much from those of the first crop; but not where next to nothing overlaps, for
# such points show no face. Chosen on validation photos (docs/accuracy.md).
GOOD_OVERLAP, LEAST_OVERLAP = 0.8, 0.2
GOOD_ROTATION = 15.0  # degrees

# Rotated retry: key points may be wrong on a face that is rotated in the plane, but the crop then
# shows hardly any face. Such a box is tried again at other angles. Chosen likewise.
POOR_PRESENCE, GOOD_PRESENCE = 0.5, 0.9
RETRY_ANGLES = (-75.0, 75.0)  # degrees

# Points of a box whose longer side is shorter, in pixels, are too rough to tell whether another
# pass would be better, and their presence says little.
MIN_REFINED_SIDE = 24.0


class FaceLandmarker:
    """Places landmarks and estimates the head's pose in given boxes.

    One instance may be shared by many threads.

    Attributes:
        scheme: the layout of the points.
    """

    scheme: LandmarkScheme

    def __init__(
        self,
        weights: Weights | None = None,
        **runtime: Unpack[RuntimeOptions],
    ) -> None:
        """Loads the network.

        Args:
            weights: a name in the manifest, ``hf://org/repo[@revision]#name``, or the path of
                an ONNX file that ``asmnet-train export`` wrote; or a family, see
                `asmnet.FaceAnalyzer`. None is the default family's, of 68 points.
            **runtime: threads, providers, session_options, download: see `asmnet.RuntimeOptions`.

        Raises:
            WeightsError: the weights or a provider cannot be used.
        """
        weights = choose_landmarker(weights)
        self._session = OnnxSession(weights, **runtime)
        self._session.require_task("landmarks")
        scheme = self._session.metadata.get("scheme", "")
        if scheme not in SCHEMES:
            raise WeightsError(
                f"{weights}: expected metadata scheme {' or '.join(SCHEMES)}, got {scheme!r}"
            )
        self.scheme = SCHEMES[scheme]
        self._crop_size, self._crop_margin = self._session.crop_format()

    def predict(
        self,
        image: ImageSource,
        bboxes: ArrayLike,
        *,
        keypoints: ArrayLike | None = None,
        channel_order: ChannelOrder = "rgb",
    ) -> list[Face]:
        """One face per box, in the boxes' order; all of them in one run of the network.

        Where the points show that a box was far off, or a face rotated in the image plane, a
        refinement pass places them anew in a better crop, in a second run. Its presence stays what
        the given box shows. Where a box shows no face at the rotation that its key points tell,
        other angles are tried.

        Args:
            image: see `asmnet.image.load_image`.
            bboxes: (n, 4) xyxy in pixels, roughly from brows to chin; one that reaches outside of
                the image is padded with black. No boxes give an empty list.
            keypoints: (n, 5, 2) of `asmnet.Detection`, if known: crops are turned upright
                by them, which helps with faces that are rotated in the image plane.
            channel_order: of an array's colours, "rgb" or "bgr".

        Raises:
            ImageError: the image cannot be used.
            InvalidInputError: boxes or key points of a wrong shape, not finite, or boxes without
                area.
        """
        pixels = load_image(image, channel_order=channel_order)
        boxes = _check_boxes(bboxes)
        angles = _upright_angles(keypoints, len(boxes))
        if not len(boxes):
            return []
        faces = self._run(pixels, boxes, angles)
        if keypoints is not None:
            self._rotated_retry(pixels, boxes, angles, faces)
        again, better_boxes, better_angles = _better_crops(faces, boxes, angles)
        if len(again):
            second = self._run(pixels, better_boxes, better_angles)
            for i, face in zip(again, second, strict=True):
                faces[i] = replace(face, bbox=faces[i].bbox, presence=faces[i].presence)
        return faces

    def reduction(self, boxes: FloatArray) -> float:
        """How many times an image may be shrunk so that the crops of boxes (n, 4) stay as good.

        Two of its pixels are left for each pixel of a crop; below 1 it shows too little already.
        """
        needed = 2 * self._crop_size / self._crop_margin
        return float(longer_sides(boxes).min() / needed)

    def _rotated_retry(
        self, pixels: ImageArray, boxes: FloatArray, angles: FloatArray, faces: list[Face]
    ) -> None:
        """Tries boxes that show no face at other angles; better ones go into both lists."""
        lost = [
            i
            for i, face in enumerate(faces)
            if face.presence is not None
            and face.presence < POOR_PRESENCE
            and (boxes[i, 2:] - boxes[i, :2]).max() >= MIN_REFINED_SIDE
        ]
        if not lost:
            return
        told = angles[lost]
        for change in RETRY_ANGLES:
            rotated = told + change
            retried = self._run(pixels, boxes[lost], rotated)
            for i, angle, face in zip(lost, rotated, retried, strict=True):
                if (face.presence or 0.0) > max(GOOD_PRESENCE, faces[i].presence or 0.0):
                    angles[i], faces[i] = angle, face

    def _run(self, pixels: ImageArray, boxes: FloatArray, angles: FloatArray) -> list[Face]:
        """The faces in crops of these boxes, made upright by these angles in degrees."""
        matrices = crop_matrices(boxes, self._crop_size, margin=self._crop_margin, angles=angles)
        outputs = self._session.run(crop_images(pixels, matrices, self._crop_size))
        named = dict(zip(self._session.output_names, outputs, strict=True))
        points = transformed(named["landmarks"].astype(np.float64), inverse_affine(matrices))
        # The crops were turned by -angle, so the heads in the image are turned by +angle.
        rotations = roll_matrix(angles) @ named["rotation"]
        faces = zip(
            boxes.astype(np.float32),
            points.astype(np.float32),
            rotations.astype(np.float32),
            rotation_to_euler(rotations).tolist(),
            named.get("confidence", len(boxes) * [None]),
            named["presence"].tolist() if "presence" in named else len(boxes) * [None],
            strict=True,
        )
        return [
            Face(
                bbox=box,
                score=None,
                landmarks=landmarks,
                scheme=self.scheme,
                pose=HeadPose(pitch, yaw, roll, rotation),
                confidence=confidence,
                presence=presence,
            )
            for box, landmarks, rotation, (pitch, yaw, roll), confidence, presence in faces
        ]


def _better_crops(
    faces: Sequence[Face], boxes: FloatArray, angles: FloatArray
) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
    """Faces whose points show that their crop was bad, and the boxes and angles that they show."""
    points = np.array([face.to_68().landmarks for face in faces], dtype=np.float64)
    shown = points_box(points)
    upright = upright_angles(IBUG_68.keypoints @ points)
    turn = np.abs((upright - angles + 180) % 360 - 180)
    overlap = paired_iou(boxes, shown)
    bad = (overlap < GOOD_OVERLAP) | (turn > GOOD_ROTATION)
    told = (overlap >= LEAST_OVERLAP) & (longer_sides(boxes) >= MIN_REFINED_SIDE)
    (again,) = np.nonzero(bad & told)
    return again, shown[again], upright[again]


def _check_boxes(bboxes: ArrayLike) -> FloatArray:
    boxes = float_array(bboxes, "bboxes", "(n, 4)")
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InvalidInputError(f"bboxes: expected shape (n, 4) xyxy, got {boxes.shape}")
    # Comparisons with NaN are false, so NaN is bad too.
    near = (np.abs(boxes) <= MAX_COORDINATE).all(axis=1)
    with np.errstate(all="ignore"):
        good = near & (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(axis=1)
    if not good.all():
        i = int(good.argmin())
        raise InvalidInputError(
            f"bboxes[{i}]: expected xyxy with x1 > x0 and y1 > y0, by {MIN_SIDE} at least, all "
            f"within ±{MAX_COORDINATE:.0f}, got {boxes[i].tolist()}"
        )
    return boxes


def _upright_angles(keypoints: ArrayLike | None, count: int) -> FloatArray:
    if keypoints is None:
        return np.zeros(count)
    points = float_array(keypoints, "keypoints", "(n, 5, 2)")
    if count == 0 and points.size == 0:
        return np.zeros(0)
    if points.shape != (count, 5, 2) or not (np.abs(points) <= MAX_COORDINATE).all():
        raise InvalidInputError(
            f"keypoints: expected numbers of shape ({count}, 5, 2) within ±{MAX_COORDINATE:.0f}, "
            f"got shape {points.shape}"
        )
    return upright_angles(points)
