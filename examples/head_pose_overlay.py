"""Draws head axes and angles on a photo. Usage: python head_pose_overlay.py PHOTO OUT.jpg"""

import sys

from PIL import Image, ImageDraw

import asmnet
from asmnet.image import load_image

photo, out = sys.argv[1:]
# Upright: a phone stores the picture as the sensor lay, and how to turn it beside it.
image = Image.fromarray(load_image(photo))
draw = ImageDraw.Draw(image)
for face in asmnet.detect(image):
    x, y = face.landmarks.mean(axis=0).tolist()
    length = float(face.bbox[3] - face.bbox[1]) / 2
    # The columns of the rotation: the subject's left, up, and out of the face.
    for axis, colour in zip(face.pose.rotation.T.tolist(), ("red", "green", "blue"), strict=True):
        # The camera's y points up, the image's down.
        tip = (x + length * axis[0], y - length * axis[1])
        draw.line([(x, y), tip], fill=colour, width=max(2, int(length / 25)))
    pose = face.pose
    label = f"pitch {pose.pitch:.0f}  yaw {pose.yaw:.0f}  roll {pose.roll:.0f}"
    draw.text((float(face.bbox[0]), float(face.bbox[3]) + 4), label, fill="white")
image.save(out)
