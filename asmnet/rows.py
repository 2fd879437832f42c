"""One flat row a face, the same in JSON Lines, CSV, Parquet and Ray.

The columns, in this order:

====================  ==============================================================
file                  as the source names it
face                  from 0 on, best score first; null in the row of a failed file
score                 0–1, four decimals, of the detector
presence              0–1, four decimals, of the landmark network: is this a face at all
x0, y0, x1, y1        the box in pixels, two decimals, as all numbers from here on
pitch, yaw, roll      degrees
scheme                layout of the points, "ibug68" or "wflw98"
landmarks             x, y of each point in pixels; in CSV landmark_0_x, landmark_0_y, …
confidence            0–1, two decimals, of each point; in CSV confidence_0, confidence_1, …
error                 why the file failed; null in the row of a face
====================  ==============================================================

A photo without a face has no row, a file that failed has one, with nothing but file and error.
Presence and confidence are null for weights that do not give them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from asmnet.errors import InvalidInputError
from asmnet.types import Face, Float32Array

Row = dict[str, Any]

COLUMNS = (
    "file", "face", "score", "presence", "x0", "y0", "x1", "y1", "pitch", "yaw", "roll", "scheme",
    "landmarks", "confidence", "error",
)  # fmt: skip
# Rows that become one row group of a Parquet file: about 10 MB as Python objects.
ROW_GROUP = 2000


def face_rows(file: str, faces: Sequence[Face]) -> list[Row]:
    """The rows of a photo's faces, in their order."""
    return [
        {
            "file": _printable(file),
            "face": index,
            "score": None if face.score is None else round(face.score, 4),
            "presence": None if face.presence is None else round(face.presence, 4),
            **_rounded(("x0", "y0", "x1", "y1"), face.bbox.tolist()),
            **_rounded(("pitch", "yaw", "roll"), (face.pose.pitch, face.pose.yaw, face.pose.roll)),
            "scheme": face.scheme.name,
            "landmarks": _hundredths(face.landmarks),
            "confidence": None if face.confidence is None else _hundredths(face.confidence),
            "error": None,
        }
        for index, face in enumerate(faces)
    ]


def error_row(file: str, error: Exception) -> Row:
    """The row of a file that failed."""
    nothing: Row = dict.fromkeys(COLUMNS)
    return {**nothing, "file": _printable(file), "error": _printable(str(error))}


def arrow_schema() -> Any:
    """The columns as a ``pyarrow.Schema``.

    Raises:
        InvalidInputError: pyarrow is not installed.
    """
    pa = _pyarrow()
    types = dict.fromkeys(COLUMNS, pa.float64())
    types.update(file=pa.string(), scheme=pa.string(), error=pa.string())
    types.update(face=pa.int32(), landmarks=pa.list_(pa.float64()))
    types.update(confidence=pa.list_(pa.float64()))
    return pa.schema(list(types.items()))


def read_jsonl(path: Path) -> Iterator[Row]:
    """The rows of a JSON Lines file, one after the other."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def to_jsonl(rows: Iterable[Row]) -> bytes:
    """The rows as lines of JSON."""
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)


def write_csv(rows: Iterable[Row], path: Path, *, points: int) -> None:
    """The rows as a CSV file with a header, nulls as empty fields; ``points`` landmarks a face."""
    first, last = COLUMNS[: COLUMNS.index("landmarks")], "error"
    names = [f"landmark_{i}_{axis}" for i in range(points) for axis in "xy"]
    confidences = [f"confidence_{i}" for i in range(points)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(_ShortLineEnds(file), lineterminator="\r\n")
        writer.writerow([*first, *names, *confidences, last])
        for row in rows:
            landmarks = row["landmarks"] or [None] * len(names)
            confidence = row["confidence"] or [None] * len(confidences)
            writer.writerow([*(row[name] for name in first), *landmarks, *confidence, row[last]])


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """The rows as a Parquet file.

    Raises:
        InvalidInputError: pyarrow is not installed.
    """
    pa, schema = _pyarrow(), arrow_schema()
    import pyarrow.parquet as pq  # the extra asmnet[parquet]

    rows = iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(rows, ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


class _ShortLineEnds:
    """Writes rows that end in CR LF with LF: the writer quotes what is in its line ends.

    A lone CR in the name of a file would be read as the end of a row otherwise.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> None:
        self._file.write(row.removesuffix("\r\n") + "\n")


def read_csv(path: Path) -> Iterator[Row]:
    """The rows of a file of `write_csv`, as they were."""
    with path.open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            cells = {name: cell or None for name, cell in record.items()}
            row: Row = {name: cells.get(name) for name in COLUMNS}
            for name in COLUMNS[COLUMNS.index("score") : COLUMNS.index("scheme")]:
                row[name] = None if row[name] is None else float(row[name])
            row["face"] = None if row["face"] is None else int(row["face"])
            for name in ("landmark", "confidence"):
                values = [float(v) for key, v in cells.items() if v and key.startswith(f"{name}_")]
                row["landmarks" if name == "landmark" else name] = values or None
            yield row


def read_parquet(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, one after the other.

    Raises:
        InvalidInputError: pyarrow is not installed.
    """
    _pyarrow()
    import pyarrow.parquet as pq  # the extra asmnet[parquet]

    with pq.ParquetFile(path) as file:
        for group in file.iter_batches(ROW_GROUP):
            yield from group.to_pylist()


def _hundredths(values: Float32Array) -> list[float]:
    return [round(value, 2) for value in values.ravel().tolist()]


def _rounded(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in zip(names, values, strict=True)}


def _printable(text: str) -> str:
    """Bytes of a file's name that are no UTF-8 are lone surrogates in Python: spelled out here."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # the extra asmnet[parquet]
    except ImportError as error:
        raise InvalidInputError(
            "Parquet needs pyarrow: install it with `pip install asmnet[parquet]`, or write "
            ".jsonl or .csv"
        ) from error
    return pa
