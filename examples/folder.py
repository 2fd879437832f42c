"""A folder of photos, several at a time. Usage: python folder.py FOLDER

The command `asmnet batch` does the same with files for results, progress and resuming.
"""

import sys
from pathlib import Path

import asmnet

paths = sorted(p for p in Path(sys.argv[1]).iterdir() if p.suffix.lower() in {".jpg", ".png"})
# One thread a network: the photos are what runs in parallel.
analyzer = asmnet.FaceAnalyzer(threads=1)
results = analyzer.detect_stream(paths, on_error="return")
for path, faces in zip(paths, results, strict=True):
    if isinstance(faces, asmnet.ImageError):
        print(f"{path.name}: {faces}")
    else:
        print(f"{path.name}: {len(faces)} faces")
