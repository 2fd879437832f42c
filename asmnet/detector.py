"""FaceDetector: where the faces are.

A photo is looked at as a whole in low resolution first. The network also says where faces may hide
that are too small to tell, and only there it looks closer, at twice the resolution, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asmnet import facemaps
from asmnet._checks import flag, probability, whole_number
from asmnet.errors import InvalidInputError
from asmnet.formats import ASMNET, MAX_INPUT_SIZE, format_of
from asmnet.geometry import Candidates, FloatArray, longer_sides, non_maximum_suppression
from asmnet.image import ChannelOrder, ImageArray, ImageSource, load_image, load_reduced, on_canvas
from asmnet.regions import Region, closer_regions, tiles
from asmnet.session import OnnxSession, RuntimeOptions, Weights
from asmnet.types import Detection
from asmnet.verifier import FaceVerifier, face_probability
from asmnet.weights import choose_detector

if TYPE_CHECKING:
    from typing_extensions import Unpack

NMS_IOU = 0.4
OWN_VERIFIER = "own"  # of the detector's family
DEFAULT_MIN_SCORE = 0.55
"""Faces below this score are left out; chosen on validation photos (docs/accuracy.md)."""

CANDIDATE_SCORE = 0.5
"""The detector's score from which on the verifier takes a close look at a place."""

DEFAULT_SIDE = 1280
"""The photo's longer side in the finest pass, unless ``input_size`` says otherwise."""

# A look shows the photo at most so many times as large as it is: more pixels show nothing new.
MAX_ENLARGEMENT = 2
# A box that ends so near the border of what was looked at, in pixels of that look, is cut off.
CUT_EDGE = 2.0
# Up to this side of a face its box is the verifier's; of larger ones, in proportion, the mean of
# the detector's and the verifier's, which has this part at least. Chosen on validation photos.
VERIFIED_SIDE, LEAST_SHARE = 28.0, 0.25
# Sides of tiles at full resolution, and how far they overlap: the largest face is found whole in
# one of them or in a look at less resolution.
TILE_SIDE, TILE_OVERLAP = 640, 96

# Faces on their side are found as well, with rougher boxes, worse key points and lower scores. The
# image is taken to be upright where one face, or several of at least the first score together, are
# so sure; else a turned image must show a surer face, of at least so high a score.
GOOD_SCORE = 0.85
SURE_SCORE, TURNED_SCORE = 0.99, 0.7
UNVERIFIED_SURE_SCORE, UNVERIFIED_TURNED_SCORE = 0.93, 0.88


class FaceDetector:
    """Finds faces with the bundled network asmnet-face, or with YuNet.

    One instance may be shared by many threads.
    """

    def __init__(
        self,
        weights: Weights | None = None,
        *,
        input_size: int | None = None,
        tiles: bool = False,
        rotated_retry: bool = True,
        verifier: Weights | None = OWN_VERIFIER,
        min_score: float = DEFAULT_MIN_SCORE,
        **runtime: Unpack[RuntimeOptions],
    ) -> None:
        """Loads the network.

        Args:
            weights: a name in the manifest, ``hf://org/repo[@revision]#name``, or the path of
                an ONNX file: one of ours, or YuNet's; or a family, see `asmnet.FaceAnalyzer`.
                None is the default family's.
            input_size: the finest pass: the image's longer side is scaled to at most so many
                pixels, a multiple of 32, but to no more than twice its own length. None is 1280,
                or 640 with YuNet, which takes no more. The first pass is at 320; closer ones, each
                at twice the resolution, are taken only where small faces may hide.
            tiles: also look at all of the image in full resolution, tile by tile, for small faces
                in huge photos. Costs about as much as one look at 640 for each tile of 640 pixels.
            rotated_retry: where no face is sure, look at the image turned by quarters too, as
                phones and scanners leave it: three more small passes.
            verifier: the network that looks closely at each place that was found, also a name or a
                path; None trusts the detector alone. YuNet is always trusted. "own" is the one of
                the family that the detector belongs to, or else of the default family.
            min_score: 0–1, faces below are not returned.
            **runtime: threads, providers, session_options, download: see `asmnet.RuntimeOptions`.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: the weights or a provider cannot be used.
        """
        weights, own_verifier = choose_detector(weights)
        if isinstance(verifier, str) and verifier == OWN_VERIFIER:
            verifier = own_verifier
        self._session = OnnxSession(weights, **runtime)
        self._format = format_of(self._session, weights)
        if input_size is None:
            input_size = min(DEFAULT_SIDE, self._format.max_input_size)
        input_size = check_input_size(input_size)
        if input_size > self._format.max_input_size:
            raise InvalidInputError(
                f"input_size: expected at most {self._format.max_input_size} for {weights}, "
                f"got {input_size}"
            )
        self._input_size = input_size
        self._tiles = flag(tiles, "tiles")
        self._rotated_retry = flag(rotated_retry, "rotated_retry")
        self._min_score = probability(min_score, "min_score")
        self._verifier: FaceVerifier | None = None
        if verifier is not None and self._format is ASMNET:
            self._verifier = FaceVerifier(verifier, **runtime)
        self._sure_score, self._turned_score = (
            (UNVERIFIED_SURE_SCORE, UNVERIFIED_TURNED_SCORE)
            if self._verifier is None
            else (SURE_SCORE, TURNED_SCORE)
        )

    def detect(
        self,
        image: ImageSource,
        *,
        channel_order: ChannelOrder = "rgb",
        min_score: float | None = None,
    ) -> list[Detection]:
        """The faces of one image, best score first; an empty list where there are none.

        JPEG files that are at least twice as large as the finest pass are decoded at a half, a
        quarter or an eighth of their size, which is quicker; boxes are in the file's pixels.

        Args:
            image: see `asmnet.image.load_image`.
            channel_order: of an array's colours, "rgb" or "bgr".
            min_score: overrides the detector's own.

        Raises:
            ImageError: the image cannot be used.
            InvalidInputError: an option out of its range.
        """
        threshold = self._min_score if min_score is None else probability(min_score, "min_score")
        pixels, factor = self.load(image, channel_order=channel_order)
        found = self._find(pixels, threshold)
        if self._rotated_retry:
            surest = found[1].max(initial=0)
            upright = 1 - np.prod(1 - found[1][found[1] >= GOOD_SCORE])
            if upright < self._sure_score and (turns := self._best_turns(pixels, surest)):
                found = self._find_turned(pixels, turns, threshold)
        return _detections(found, factor)

    def load(
        self, image: ImageSource, *, channel_order: ChannelOrder = "rgb"
    ) -> tuple[ImageArray, int]:
        """An image as large as `detect` needs it, and its factor: see `load_reduced`."""
        if self._tiles:  # which show the image in full resolution
            return load_image(image, channel_order=channel_order), 1
        return load_reduced(image, self._input_size, channel_order=channel_order)

    @property
    def first_side(self) -> int:
        """The image's longer side in the first pass, in pixels."""
        return min(self._format.first_side, self._input_size)

    def closest_side(self, pixels: ImageArray) -> int:
        """The longer side of an image (H, W, 3) in the finest pass, in pixels."""
        return min(self._input_size, MAX_ENLARGEMENT * int(max(pixels.shape[:2])))

    def look(
        self, pixels: ImageArray, region: Region, side: int, min_score: float
    ) -> tuple[list[Detection], list[Region]]:
        """One of the looks that `detect` takes, at a part of an image: for searches in many steps.

        Args:
            pixels: (H, W, 3) RGB.
            region: left, top, right, bottom.
            side: longer side that the whole image has at the scale of the look.
            min_score: 0–1, faces below are not returned.

        Returns:
            The faces, best score first, and the regions that are worth a zoomed pass.
        """
        scale, least = side / max(pixels.shape[:2]), self._candidate_score(min_score)
        look = self._look(pixels, region, scale, least)
        found = self._verified(pixels, _suppressed([look.faces]), min_score)
        return _detections(found), look.closer

    def verify(self, pixels: ImageArray, boxes: FloatArray) -> Candidates:
        """The verifier's look at boxes, see `asmnet.verifier.FaceVerifier.look`.

        Without a verifier the scores are 0: nobody says that there are faces.
        """
        if self._verifier is None:
            return boxes, np.zeros(len(boxes)), np.zeros((len(boxes), 5, 2))
        return self._verifier.look(pixels, boxes)

    def _find(self, pixels: ImageArray, threshold: float) -> Candidates:
        """The faces of an upright image, in its pixels, best first."""
        return self._verified(pixels, self._candidates(pixels, threshold), threshold)

    def _candidates(self, pixels: ImageArray, threshold: float) -> Candidates:
        """What the detector takes for faces."""
        threshold = self._candidate_score(threshold)
        height, width = pixels.shape[:2]
        longer = max(height, width)
        side, limit = self.first_side, self.closest_side(pixels)
        found = [self._look(pixels, (0, 0, width, height), side / longer, threshold)]
        regions = found[0].closer
        while regions and side < limit:
            side = min(2 * side, limit)
            looks = [self._look(pixels, region, side / longer, threshold) for region in regions]
            regions = [region for look in looks for region in look.closer]
            found += looks
        if self._tiles and longer > side:
            squares = tiles((0, 0, width, height), TILE_SIDE, TILE_OVERLAP)
            found += [self._look(pixels, tile, 1.0, threshold) for tile in squares]
        return _suppressed([look.faces for look in found])

    def _candidate_score(self, threshold: float) -> float:
        """The least score of the detector that is worth more work where this one is wanted."""
        return threshold if self._verifier is None else CANDIDATE_SCORE

    def _verified(self, pixels: ImageArray, found: Candidates, threshold: float) -> Candidates:
        """Those that are faces at a second, close look, drawn anew; best first."""
        if self._verifier is None or not len(found[0]):
            return found
        boxes, scores, keypoints = self._verifier.look(pixels, found[0])
        sides = longer_sides(found[0])
        scores = face_probability(found[1], scores, sides, self._verifier.score_weights)
        # Of small faces the verifier knows the place better, of large ones the detector.
        share = np.clip(VERIFIED_SIDE / np.maximum(sides, 1), LEAST_SHARE, 1)[:, None]
        boxes = (1 - share) * found[0] + share * boxes
        kept = non_maximum_suppression(boxes, scores, NMS_IOU)
        kept = kept[scores[kept] >= threshold]
        return boxes[kept], scores[kept], keypoints[kept]

    def _best_turns(self, pixels: ImageArray, surest: float) -> int:
        """How many quarters (``np.rot90``) show a surer face than the upright image; 0 if none."""
        scale = self.first_side / max(pixels.shape[:2])
        small, _ = on_canvas(pixels, scale, multiple=1)
        best = [surest]
        for turns in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(small, turns))
            least = self._candidate_score(self._turned_score)
            look = self._look(turned, (0, 0, *turned.shape[1::-1]), 1.0, least)
            found = self._verified(turned, look.faces, self._turned_score)
            best.append(float(found[1].max(initial=0)))
        return int(np.argmax(best))

    def _find_turned(self, pixels: ImageArray, turns: int, threshold: float) -> Candidates:
        """The faces of an image after ``np.rot90(image, turns)``, in the image's own pixels."""
        height, width = pixels.shape[:2]
        turned = np.ascontiguousarray(np.rot90(pixels, turns))
        boxes, scores, keypoints = self._find(turned, threshold)
        corners = unrotated(boxes.reshape(-1, 2, 2), turns, width, height)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        return boxes, scores, unrotated(keypoints, turns, width, height)

    def _look(self, pixels: ImageArray, region: Region, scale: float, threshold: float) -> _Look:
        """What one run sees in a part of the image at a scale."""
        x0, y0, x1, y1 = region
        batch, factors = self._format.prepare(pixels[y0:y1, x0:x1], scale)
        outputs = self._session.run(batch)
        boxes, scores, keypoints = self._format.decode(outputs, threshold)
        height, width = pixels.shape[:2]
        inner = np.array([x0 > 0, y0 > 0, x1 < width, y1 < height])
        if len(boxes):
            boxes = (boxes.reshape(-1, 2, 2) / factors + (x0, y0)).reshape(-1, 4)
            keypoints = keypoints / factors + (x0, y0)
        if len(boxes) and inner.any():
            distance = np.abs(boxes - region) * np.tile(factors, 2)
            outside = (boxes - region) * [1, 1, -1, -1] < 0
            whole = ~(inner & (outside | (distance < CUT_EDGE))).any(axis=1)
            boxes, scores, keypoints = boxes[whole], scores[whole], keypoints[whole]
        closer: list[Region] = []
        if self._format.small_faces is not None:
            closer = closer_regions(
                self._format.small_faces(outputs), facemaps.STRIDES[0], factors, region
            )
        return _Look((boxes, scores, keypoints), closer)


@dataclass(frozen=True, eq=False)
class _Look:
    """What one run of the network has seen, in pixels of the image.

    Attributes:
        faces: candidates, before suppression.
        closer: the parts of the image that are worth a zoomed pass.
    """

    faces: Candidates
    closer: list[Region]


def _suppressed(found: Sequence[Candidates]) -> Candidates:
    """What several looks have found, each face once, best first."""
    boxes, scores, keypoints = (np.concatenate(parts) for parts in zip(*found, strict=True))
    kept = non_maximum_suppression(boxes, scores, NMS_IOU)
    return boxes[kept], scores[kept], keypoints[kept]


def _detections(found: Candidates, factor: int = 1) -> list[Detection]:
    """What was found, places times the factor."""
    boxes, scores, keypoints = found
    return [
        Detection(box, float(score), points)
        for box, score, points in zip(
            (factor * boxes).astype(np.float32),
            scores,
            (factor * keypoints).astype(np.float32),
            strict=True,
        )
    ]


def unrotated(points: FloatArray, turns: int, width: int, height: int) -> FloatArray:
    """Points (..., 2) of ``np.rot90(image, turns)`` in the (height, width) image itself."""
    x, y = points[..., 0], points[..., 1]
    if turns == 1:
        return np.stack([width - y, x], axis=-1)
    if turns == 2:
        return np.stack([width - x, height - y], axis=-1)
    return np.stack([y, height - x], axis=-1)


def check_input_size(input_size: int) -> int:
    """A longer side that the network can take, or InvalidInputError."""
    side = whole_number(input_size, "input_size", least=64, most=MAX_INPUT_SIZE)
    if side % 32:
        raise InvalidInputError(f"input_size: expected a multiple of 32, got {side}")
    return side
