"""Good images of every kind, and bad ones: each works as documented or raises our error."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from asmnet.errors import (
    ImageDecodeError,
    ImageNotFoundError,
    ImageTooLargeError,
    InvalidImageError,
    InvalidInputError,
)
from asmnet.geometry import CropTransform
from asmnet.image import crop_image, letterbox, load_image

RED = np.zeros((4, 6, 3), dtype=np.uint8)
RED[:, :, 0] = 255


def encode(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds nothing."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1000) + b"IDAT" + bytes(8)


class TestKinds:
    def test_path_bytes_pil_and_array_agree(self, tmp_path):
        path = tmp_path / "red.png"
        Image.fromarray(RED).save(path)
        for source in (path, str(path), path.read_bytes(), Image.fromarray(RED), RED):
            assert np.array_equal(load_image(source), RED)

    def test_result_can_be_written_to(self, tmp_path):
        path = tmp_path / "red.png"
        Image.fromarray(RED).save(path)
        load_image(path)[0, 0] = 7

    def test_bgr_concerns_arrays_only(self, tmp_path):
        assert load_image(RED, channel_order="bgr")[0, 0].tolist() == [0, 0, 255]
        path = tmp_path / "red.png"
        Image.fromarray(RED).save(path)
        assert load_image(path, channel_order="bgr")[0, 0].tolist() == [255, 0, 0]

    def test_grey_alpha_and_single_channel(self):
        grey = np.full((4, 6), 9, dtype=np.uint8)
        assert load_image(grey).tolist() == np.full((4, 6, 3), 9).tolist()
        assert np.array_equal(load_image(grey[:, :, None]), load_image(grey))
        assert np.array_equal(load_image(np.dstack([RED, grey])), RED)

    def test_sixteen_bits_and_floats(self):
        assert np.array_equal(load_image(RED.astype(np.uint16) * 257), RED)
        for dtype in (np.float16, np.float32, np.float64):
            assert np.array_equal(load_image((RED / 255).astype(dtype)), RED)

    def test_views_and_foreign_byte_order(self):
        assert np.array_equal(load_image(RED[::-1, ::-1]), RED)
        assert np.array_equal(load_image(RED.astype(">u2") * 257), RED)

    @pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "YCbCr", "1", "I;16"])
    def test_every_pil_mode_becomes_rgb(self, mode):
        image = (
            Image.fromarray(np.zeros((4, 6), dtype=np.uint16))
            if mode == "I;16"
            else (Image.fromarray(RED).convert(mode))
        )
        assert load_image(image).shape == (4, 6, 3)

    def test_cmyk_jpeg_and_sixteen_bit_png_files(self):
        cmyk = encode(Image.fromarray(RED).convert("CMYK"), "JPEG")
        assert load_image(cmyk)[0, 0, 0] > 200
        deep = encode(Image.fromarray(np.full((4, 6), 40000, dtype=np.uint16)), "PNG")
        assert load_image(deep)[0, 0].tolist() == [40000 >> 8] * 3

    def test_exif_orientation_is_applied(self):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: show rotated by 90° clockwise
        picture = np.zeros((20, 40, 3), dtype=np.uint8)
        picture[:, :20, 0] = 255  # left half red
        turned = load_image(encode(Image.fromarray(picture), "JPEG", exif=exif))
        assert turned.shape == (40, 20, 3)
        assert turned[5, 10, 0] > 200  # red is on top now
        assert turned[35, 10, 0] < 50


class TestBadInput:
    def test_missing_file(self, tmp_path):
        with pytest.raises(ImageNotFoundError, match=r"gone\.jpg"):
            load_image(tmp_path / "gone.jpg")
        with pytest.raises(FileNotFoundError):  # also the builtin
            load_image(tmp_path / "gone.jpg")

    def test_folder(self, tmp_path):
        with pytest.raises(ImageDecodeError, match="folder"):
            load_image(tmp_path)

    @pytest.mark.parametrize("content", [b"hello, I am text", b"\xff\xd8\xff", b"GIF89a", b"BM"])
    def test_no_image_in_the_file(self, tmp_path, content):
        path = tmp_path / "text.jpg"
        path.write_bytes(content)
        with pytest.raises(ImageDecodeError, match=r"text\.jpg"):
            load_image(path)

    def test_empty_file(self, tmp_path):
        path = tmp_path / "empty.jpg"
        path.touch()
        with pytest.raises(ImageDecodeError, match="empty"):
            load_image(path)

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
    @pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
    def test_truncated_files(self, form, part):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        data = encode(Image.fromarray(noise), form)
        with pytest.raises(ImageDecodeError):
            load_image(data[: int(part * len(data))])

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # odd metadata that does no harm
    def test_damaged_bytes_raise_our_error_or_decode(self):
        """1,000 damaged files of 8 formats: nothing of Pillow's may come through."""
        rng = np.random.default_rng(0)
        noise = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "a description"
        originals = [encode(noise, form) for form in ("GIF", "TIFF", "BMP", "PPM", "TGA")]
        originals += [encode(noise, form, exif=exif) for form in ("JPEG", "PNG", "WEBP")]
        for i in range(1000):
            data = bytearray(originals[i % len(originals)])
            for position in rng.integers(0, min(len(data), 200), size=3):
                data[position] = rng.integers(256)
            with contextlib.suppress(ImageDecodeError, ImageTooLargeError):
                assert load_image(bytes(data)).dtype == np.uint8

    def test_huge_header_is_refused_before_decoding(self):
        with pytest.raises(ImageTooLargeError, match="MAX_IMAGE_PIXELS"):
            load_image(png_header(30_000, 30_000))

    def test_the_limit_is_exact_and_can_be_raised(self, monkeypatch):
        data = encode(Image.fromarray(RED), "PNG")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 23)
        with pytest.raises(ImageTooLargeError, match="23"):
            load_image(data)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24)
        assert load_image(data).shape == RED.shape

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((4, 6, 3)) - 0.1,
            np.full((4, 6, 3), 1.5),
            np.full((4, 6, 3), 255.0),
            np.full((4, 6, 3), np.nan),
            np.full((4, 6, 3), np.inf),
            np.where(np.arange(72).reshape(4, 6, 3) == 5, np.nan, 0.5),
        ],
    )
    def test_floats_out_of_range(self, array):
        with pytest.raises(InvalidImageError, match="0 to 1"):
            load_image(array)

    @pytest.mark.parametrize(
        "shape", [(), (5,), (4, 6, 2), (4, 6, 5), (1, 4, 6, 3), (0, 6, 3), (4, 0)]
    )
    def test_wrong_shapes(self, shape):
        with pytest.raises(InvalidImageError, match=r"shape|\(H, W\)"):
            load_image(np.zeros(shape, dtype=np.uint8))

    @pytest.mark.parametrize(
        "dtype", [np.int8, np.int32, np.int64, np.uint32, bool, complex, object, "U1"]
    )
    def test_wrong_dtypes(self, dtype):
        with pytest.raises(InvalidImageError, match="dtype"):
            load_image(np.zeros((4, 6, 3), dtype=dtype))

    @pytest.mark.parametrize("thing", [None, 3, [1, 2], {"a": 1}])
    def test_no_image_at_all(self, thing):
        with pytest.raises(InvalidImageError, match=type(thing).__name__):
            load_image(thing)

    def test_pil_modes_without_a_range(self):
        with pytest.raises(InvalidImageError, match="32-bit"):
            load_image(Image.new("F", (4, 4)))

    def test_unknown_channel_order(self):
        with pytest.raises(InvalidInputError, match="channel_order"):
            load_image(RED, channel_order="gbr")

    def test_nul_in_a_path(self):
        with pytest.raises(ImageDecodeError):
            load_image("a\0b.jpg")


class TestLetterbox:
    def test_keeps_aspect_and_pads_to_multiples(self):
        canvas, scale = letterbox(np.full((100, 200, 3), 255, np.uint8), 320, multiple=32)
        assert canvas.shape == (160, 320, 3)
        assert scale == pytest.approx([1.6, 1.6])
        canvas, scale = letterbox(np.full((10, 300, 3), 255, np.uint8), 320, multiple=32)
        assert canvas.shape == (32, 320, 3)
        assert canvas[11:].max() == 0  # padded in black

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
    def test_extreme_shapes(self, shape):
        canvas, _ = letterbox(np.zeros((*shape, 3), np.uint8), 320, multiple=32)
        assert max(canvas.shape) == 320
        assert min(canvas.shape[:2]) >= 32


class TestCrop:
    @pytest.mark.parametrize("side", [50.0, 90.0, 400.0, 1500.0])
    @pytest.mark.parametrize("angle", [0.0, 30.0])
    def test_a_point_lands_where_the_transform_says(self, side, angle):
        """Also with two-step shrinking: the brightest pixel of a blob is where it should be."""
        y, x = np.mgrid[:1200, :1200]
        blob = np.array([700.0, 500.0])
        sigma = side / 30
        glow = np.exp(-((x - blob[0]) ** 2 + (y - blob[1]) ** 2) / (2 * sigma**2))
        image = np.repeat((255 * glow).astype(np.uint8)[:, :, None], 3, axis=2)
        centre = blob + side / 5
        box = np.concatenate([centre - side / 2, centre + side / 2])
        transform = CropTransform.from_bbox(box, 112, margin=1.25, angle=angle)
        crop = crop_image(image, transform)[:, :, 0].astype(float)
        rows, columns = np.mgrid[:112, :112]
        seen = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
        # The arrays count pixel centres from 0, the transform counts from the corner.
        assert seen == pytest.approx(transform.apply(blob + 0.5) - 0.5, abs=0.05)

    def test_outside_of_the_image_is_black(self):
        box = np.array([-500.0, -500, -400, -400])
        transform = CropTransform.from_bbox(box, 112, margin=1.25)
        assert crop_image(np.full((50, 50, 3), 255, np.uint8), transform).max() == 0

    @pytest.mark.parametrize("side", [1e-6, 1e3, 1e6])
    def test_boxes_of_absurd_size(self, side):
        transform = CropTransform.from_bbox(np.array([0, 0, side, side]), 112, margin=1.25)
        assert crop_image(np.zeros((50, 50, 3), np.uint8), transform).shape == (112, 112, 3)
