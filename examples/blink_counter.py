"""Counts blinks in a video or at a camera. Usage: python blink_counter.py VIDEO|CAMERA_NUMBER"""

import sys

import cv2

import asmnet

CLOSED, OPEN = 0.17, 0.21  # two thresholds, so that noise around one does not count twice

source = int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1]
analyzer = asmnet.FaceAnalyzer()
reader = cv2.VideoCapture(source)
blinks, closed = 0, False
while True:
    ok, frame = reader.read()
    if not ok:
        break
    faces = analyzer.detect(frame, channel_order="bgr", max_faces=1)
    if not faces:
        continue
    openness = sum(asmnet.eye_openness(faces[0])) / 2
    if not closed and openness < CLOSED:
        closed = True
    elif closed and openness > OPEN:
        closed, blinks = False, blinks + 1
        print(f"blink {blinks}")
print(f"{blinks} blinks")
