"""The landmark network without our package: NumPy, OpenCV and ONNX Runtime are enough.

Usage: python plain_onnxruntime.py asmnet-68.onnx PHOTO X0 Y0 X1 Y1   (a box from brows to chin)
"""

import os
import sys

import cv2
import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import, or it sends usage data
import onnxruntime as ort

weights, photo, *box = sys.argv[1:]
x0, y0, x1, y1 = (float(v) for v in box)
image = cv2.cvtColor(cv2.imread(photo), cv2.COLOR_BGR2RGB)
session = ort.InferenceSession(weights, providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map  # what the file says about itself
size, margin = int(metadata["input_size"]), float(metadata["crop_margin"])

# A square crop around the box; coordinates start at the corner of the first pixel.
scale = size / (margin * max(x1 - x0, y1 - y0))
shift = size / 2 - scale * np.array([(x0 + x1) / 2, (y0 + y1) / 2])
# OpenCV counts from the centre of the first pixel.
to_crop = np.array([[scale, 0, shift[0] + scale / 2 - 0.5], [0, scale, shift[1] + scale / 2 - 0.5]])
crop = cv2.warpAffine(image, to_crop, (size, size))
landmarks, rotation = session.run(["landmarks", "rotation"], {"images": crop[None]})
for x, y in (landmarks[0] - shift) / scale:
    print(f"{x:.1f} {y:.1f}")
print("nose points to", rotation[0][:, 2].round(2))
