"""Landmarks for boxes of your own detector. Usage: python own_boxes.py PHOTO X0 Y0 X1 Y1 ..."""

import sys

import numpy as np

import asmnet

photo = sys.argv[1]
# Roughly from the brows to the chin, in pixels; one row a face.
boxes = np.array(sys.argv[2:], dtype=float).reshape(-1, 4)
landmarker = asmnet.FaceLandmarker()
for face in landmarker.predict(photo, boxes):
    right_eye, left_eye = (
        face.landmarks[face.scheme.groups[name]].mean(axis=0) for name in ("right_eye", "left_eye")
    )
    print(f"right eye {right_eye.round(1)}, left eye {left_eye.round(1)}")
