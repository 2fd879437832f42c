"""Photos a second of ``asmnet batch`` with one worker and with two: ``python benchmarks/batch.py``.

All counts of workers take turns on the same temporary folder: JPEG variants (size, light, quality,
mirrored) of the example photos. The rate counts from the first rows to the last, because starting
the processes costs a second or two whatever the number of photos; "whole" includes that. Each
round's ratio compares runs that follow each other; the median over the rounds is the figure.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from asmnet.batch import BatchOptions, run_batch
from asmnet.commands.outputs import parse_with_outputs
from asmnet.evaluation.report import markdown_rows
from asmnet.image import load_image

PHOTOS = sorted((Path(__file__).parent.parent / "examples" / "photos").glob("*.*g"))


def main() -> None:
    """Prints a line for each run, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, help="write the table")
    options = parse_with_outputs(parser, ["json"])
    rates: dict[int, list[float]] = {workers: [] for workers in options.workers}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = [_variant(i, folder) for i in range(options.images)]
        size = sum(Path(file).stat().st_size for file in files) / len(files) / 1000
        print(f"{len(files)} photos, {size:.0f} kB on average")
        for round_ in range(options.rounds):
            for workers, values in rates.items():
                rate, whole = _rates(files, folder / f"{round_}-{workers}.jsonl", workers)
                values.append(rate)
                print(f"{workers} workers: {rate:6.1f} images/s, {whole:6.1f} whole", flush=True)
    first = next(iter(rates.values()))
    rows = [
        {
            "workers": workers,
            "images/s, median": statistics.median(values),
            "of the first": statistics.median(b / a for a, b in zip(first, values, strict=True)),
        }
        for workers, values in rates.items()
    ]
    print(markdown_rows(rows))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _variant(index: int, folder: Path) -> str:
    """A JPEG file that differs from all others."""
    random = np.random.default_rng(index)
    image = Image.fromarray(load_image(PHOTOS[index % len(PHOTOS)]))
    scale = random.uniform(0.6, 1.6)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.7, 1.3))
    if random.random() < 0.5:
        image = ImageOps.mirror(image)
    path = folder / f"{index:06}.jpg"
    image.save(path, quality=int(random.integers(70, 96)))
    return str(path)


def _rates(files: list[str], out: Path, workers: int) -> tuple[float, float]:
    """Images a second from the first rows on, and with the start of the processes."""
    started = first_time = time.perf_counter()
    first = done = 0
    for progress in run_batch(files, out, BatchOptions(), workers=workers):
        done = progress.files
        if not first and done:
            first, first_time = done, time.perf_counter()
    ended = time.perf_counter()
    return (done - first) / (ended - first_time), done / (ended - started)


if __name__ == "__main__":
    main()
