"""Follows the faces of a video: each keeps its number. Usage: python track_video.py IN.mp4 OUT.mp4

The command `asmnet track` does the same with progress, JSON and several threads.
"""

import sys

import asmnet
from asmnet.video import VideoReader, VideoWriter

source, target = sys.argv[1:]
tracker = asmnet.FaceTracker()
seen: dict[int, float] = {}  # seconds by number
with VideoReader(source) as reader, VideoWriter(target, reader.rate) as writer:
    for _, time, image in reader:
        faces = tracker.update(image, time)
        for face in faces:
            seen[face.track_id] = seen.get(face.track_id, 0) + 1 / reader.rate
        writer.write(asmnet.draw_faces(image, faces), time)
for number, seconds in seen.items():
    print(f"face {number}: seen for {seconds:.1f} s")
