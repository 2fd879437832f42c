"""DetectFaces: the rows of ``asmnet batch`` from Ray Data, on one machine or many.

>>> paths = ray.data.from_items([{"path": path} for path in files])  # doctest: +SKIP
>>> rows = paths.map_batches(DetectFaces, concurrency=2)  # doctest: +SKIP
>>> rows.write_parquet("faces")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import pyarrow as pa

from asmnet._checks import mapping, probability, shown
from asmnet.analyzer import FaceAnalyzer, check_max_faces
from asmnet.detector import DEFAULT_MIN_SCORE, FaceDetector
from asmnet.errors import ImageError, InvalidInputError
from asmnet.guard import guarded
from asmnet.rows import Row, arrow_schema, error_row, face_rows
from asmnet.session import RuntimeOptions, Weights

if TYPE_CHECKING:
    from typing_extensions import Unpack


class DetectFaces:
    """A callable class for ``ray.data.Dataset.map_batches``: photos in, a row a face out.

    Ray makes one in each worker process (``concurrency=N``), so the networks are loaded once
    there. Each call runs on one core, which is what Ray reserves for it.
    """

    def __init__(
        self,
        *,
        landmarks: int = 68,
        weights: str | None = None,
        detector: Weights | FaceDetector | None = None,
        landmarker: Weights | None = None,
        min_score: float = DEFAULT_MIN_SCORE,
        max_faces: int | None = None,
        **runtime: Unpack[RuntimeOptions],
    ) -> None:
        """Loads the networks.

        Args:
            landmarks: 68 or 98 points.
            weights: the family of all weights that are not given below; None is that of the
                worker's environment variable ``ASMNET_WEIGHTS``, or "research".
            detector: see `asmnet.FaceAnalyzer`, as for the other weights' options.
            landmarker: the landmarker's weights, instead of ``landmarks``.
            min_score: 0–1, faces below are left out.
            max_faces: keep only so many of the best of each photo; None keeps all.
            **runtime: providers, session_options, download, and threads, 1 unless given: see
                `asmnet.RuntimeOptions`.

        Raises:
            InvalidInputError: an option out of its range.
            WeightsError: weights or a provider cannot be used.
        """
        probability(min_score, "min_score")
        check_max_faces(max_faces)
        cv2.setNumThreads(1)
        runtime.setdefault("threads", 1)
        self._analyzer = FaceAnalyzer(
            landmarks=landmarks,
            weights=weights,
            detector=detector,
            landmarker=landmarker,
            **runtime,
        )
        self._min_score, self._max_faces = min_score, max_faces

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """The rows of a batch of photos, as `asmnet.rows` describes them.

        A photo without a face has no row, one that cannot be used has a row with its error,
        whatever it raised, MemoryError included.

        Args:
            batch: "path", a column of strings, and optionally "bytes", the files' contents, as
                ``ray.data.read_binary_files(..., include_paths=True)`` gives them; without it the
                worker reads the paths itself.

        Raises:
            InvalidInputError: there is no column "path".
        """
        if "path" not in mapping(batch, "batch"):
            raise InvalidInputError(f'expected a column "path", got {shown(list(batch))}')
        contents = batch.get("bytes", batch["path"])
        rows = [
            row
            for path, content in zip(batch["path"], contents, strict=True)
            for row in self._rows(str(path), content)
        ]
        # A table and no dict of arrays: its schema stays the same where a batch has only nulls.
        return pa.Table.from_pylist(rows, schema=arrow_schema())

    def _rows(self, path: str, content: str | bytes) -> list[Row]:
        try:
            with guarded(path):
                faces = self._analyzer.detect(
                    content, min_score=self._min_score, max_faces=self._max_faces
                )
        except ImageError as error:
            return [error_row(path, error)]
        return face_rows(path, faces)
