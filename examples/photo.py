"""One photo: print its faces and save a picture. Usage: python photo.py PHOTO OUT.jpg"""

import sys

from PIL import Image

import asmnet

photo, out = sys.argv[1:]
faces = asmnet.detect(photo)
for number, face in enumerate(faces):
    pose = face.pose
    print(f"face {number}: score {face.score:.2f}, box {face.bbox.round().astype(int).tolist()}")
    print(f"  pitch {pose.pitch:.0f}°, yaw {pose.yaw:.0f}°, roll {pose.roll:.0f}°")
    print(f"  nose tip at {face.landmarks[face.scheme.groups['nose_bridge'][-1]].round()}")
Image.fromarray(asmnet.draw_faces(photo, faces)).save(out)
