"""asmnet: faces, facial landmarks and head pose in milliseconds on a CPU.

>>> import asmnet
>>> for face in asmnet.detect("photo.jpg"):  # doctest: +SKIP
...     print(face.bbox, face.landmarks.shape, face.pose.yaw)
"""

from asmnet._version import __version__
from asmnet.align import align_transform, aligned_crop
from asmnet.analyzer import FaceAnalyzer, detect
from asmnet.detector import FaceDetector
from asmnet.draw import draw_faces
from asmnet.errors import (
    AsmnetError,
    ChecksumError,
    ImageDecodeError,
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    InvalidImageError,
    InvalidInputError,
    ProviderError,
    VideoError,
    WeightsDownloadError,
    WeightsError,
    WeightsNotFoundError,
)
from asmnet.landmarker import FaceLandmarker
from asmnet.measures import eye_openness, mouth_openness
from asmnet.pose3d import head_pose_from_landmarks
from asmnet.schemes import IBUG_68, WFLW_98, LandmarkScheme
from asmnet.session import RuntimeOptions
from asmnet.tracking.one_euro import Smoothing
from asmnet.tracking.tracker import FaceTracker
from asmnet.types import Detection, Face, HeadPose

__all__ = [
    "IBUG_68",
    "WFLW_98",
    "AsmnetError",
    "ChecksumError",
    "Detection",
    "Face",
    "FaceAnalyzer",
    "FaceDetector",
    "FaceLandmarker",
    "FaceTracker",
    "HeadPose",
    "ImageDecodeError",
    "ImageError",
    "ImageNotFoundError",
    "ImageTooLargeError",
    "InvalidImageError",
    "InvalidInputError",
    "LandmarkScheme",
    "ProviderError",
    "RuntimeOptions",
    "Smoothing",
    "VideoError",
    "WeightsDownloadError",
    "WeightsError",
    "WeightsNotFoundError",
    "__version__",
    "align_transform",
    "aligned_crop",
    "detect",
    "draw_faces",
    "eye_openness",
    "head_pose_from_landmarks",
    "mouth_openness",
]
