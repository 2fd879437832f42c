"""A search for faces that is spread over the frames of a video."""

from __future__ import annotations

from asmnet.detector import FaceDetector
from asmnet.image import ImageArray
from asmnet.regions import Region, tiles
from asmnet.types import Detection

# So many pixels are looked at in a frame, about as many as the first pass over a whole frame has;
# a larger part is looked at in overlapping squares, one after another. The largest face that
# is looked for in zoomed passes fits into the overlap.
PIXELS_A_FRAME = 320 * 320
TILE_SIDE, TILE_OVERLAP = 320, 64


class FaceSearch:
    """Looks at a whole frame first, and closer in those that follow.

    Each frame costs about as much as one first pass, however many small faces there are: what
    the first pass asks for is looked at in the next frames, a few squares a frame.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._shape: tuple[int, ...] = ()
        self._waiting: list[tuple[Region, int]] = []

    @property
    def over(self) -> bool:
        """Whether the next step begins anew."""
        return not self._waiting

    def restart(self) -> None:
        """Begins anew with the next step."""
        self._waiting = []

    def step(self, pixels: ImageArray, min_score: float) -> list[Detection]:
        """The faces that this frame's looks have found.

        Args:
            pixels: (H, W, 3) RGB.
            min_score: 0–1, faces below are not returned.
        """
        height, width = pixels.shape[:2]
        if pixels.shape != self._shape:
            self._shape, self._waiting = pixels.shape, []
        if not self._waiting:
            self._waiting = [((0, 0, width, height), self._detector.first_side)]
        found: list[Detection] = []
        seen = 0.0
        while self._waiting and seen < PIXELS_A_FRAME:
            region, side = self._waiting.pop(0)
            faces, closer = self._detector.look(pixels, region, side, min_score)
            found += faces
            scale = side / max(height, width)
            seen += _area(region) * scale**2
            next_side = min(2 * side, self._detector.closest_side(pixels))
            if next_side > side:
                self._waiting += self._squares(closer, next_side, next_side / max(height, width))
        return found

    @staticmethod
    def _squares(regions: list[Region], side: int, scale: float) -> list[tuple[Region, int]]:
        edge, overlap = round(TILE_SIDE / scale), round(TILE_OVERLAP / scale)
        return [(tile, side) for region in regions for tile in tiles(region, edge, overlap)]


def _area(region: Region) -> int:
    x0, y0, x1, y1 = region
    return (x1 - x0) * (y1 - y0)
