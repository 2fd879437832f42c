"""Faces of each frame of a video, drawn. Usage: python video.py IN.mp4 OUT.mp4"""

import sys

import cv2

import asmnet

source, target = sys.argv[1:]
analyzer = asmnet.FaceAnalyzer()
reader = cv2.VideoCapture(source)
rate = reader.get(cv2.CAP_PROP_FPS)
writer = None
frames = 0
while True:
    ok, frame = reader.read()  # BGR, as always with OpenCV
    if not ok:
        break
    faces = analyzer.detect(frame, channel_order="bgr")
    drawn = asmnet.draw_faces(frame, faces, channel_order="bgr")  # RGB
    if writer is None:
        size = frame.shape[1::-1]
        writer = cv2.VideoWriter(target, cv2.VideoWriter_fourcc(*"mp4v"), rate, size)
    writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    frames += 1
reader.release()
if writer is None:
    sys.exit(f"{source}: no frame could be read")
writer.release()
print(f"{frames} frames written to {target}")
