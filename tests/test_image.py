"""Good images of every kind, and bad ones: each works as documented or raises our error."""

import contextlib
import io
import random
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from fuzz.images import CORPUS, damaged
from fuzz.seeds import seeds
from PIL import Image, ImageOps, PngImagePlugin

import asmnet.image as image_module
from asmnet.errors import (
    ImageDecodeError,
    ImageError,
    ImageNotFoundError,
    ImageTooLargeError,
    InvalidImageError,
    InvalidInputError,
)
from asmnet.geometry import CropTransform
from asmnet.image import crop_image, image_suffixes, letterbox, load_image, load_reduced

RED = np.zeros((4, 6, 3), dtype=np.uint8)
RED[:, :, 0] = 255


def encode(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def with_exif(picture: Image.Image, tags: dict[int, tuple[int, int, bytes]]) -> bytes:
    """A JPEG with these EXIF entries, each (type, count, value), in just this form."""
    jpeg, entries, values = encode(picture, "JPEG"), b"", b""
    for tag, (kind, count, value) in sorted(tags.items()):
        stored = value
        if len(value) > 4:
            stored = struct.pack("<L", 8 + 2 + 12 * len(tags) + 4 + len(values))
            values += value
        entries += struct.pack("<HHL", tag, kind, count) + stored.ljust(4, b"\0")
    block = b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + values
    segment = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


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
        for order in "<>":
            deep = np.full((4, 6, 3), 0x1234, dtype=f"{order}u2")
            assert load_image(deep).tolist() == np.full((4, 6, 3), 0x12).tolist()
            assert np.array_equal(load_image((RED / 255).astype(f"{order}f4")), RED)

    def test_array_subclasses_are_arrays(self):
        matrix = np.ones((4, 6), dtype=np.uint8).view(np.matrix)
        assert np.array_equal(load_image(matrix), np.ones((4, 6, 3), dtype=np.uint8))

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

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
    @pytest.mark.parametrize("orientation", range(10))
    def test_each_orientation_is_that_of_pillow(self, form, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture = Image.fromarray(np.arange(40 * 24 * 3, dtype=np.uint8).reshape(24, 40, 3))
        data = encode(picture, form, exif=exif)
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert np.array_equal(load_image(data), expected)

    @pytest.mark.parametrize(
        "tag", [0x0128, 0x0142, 0x02BC, 0x8298, 0x8649, 0x83BB, 0x8773, 0x8769]
    )
    @pytest.mark.parametrize(
        "odd",
        [
            (2, 4, b"abc\0"),
            (6, 1, b"\xff"),
            (10, 1, struct.pack("<ll", -1, 2)),
            (12, 1, struct.pack("<d", 1.5)),
            (99, 1, b"abcd"),
        ],
    )
    def test_an_odd_exif_tag_is_no_reason_to_refuse_a_photo(self, tag, odd):
        picture = np.zeros((24, 40, 3), dtype=np.uint8)
        picture[:, :20, 0] = 255
        upright = (3, 1, struct.pack("<H", 6))
        turned = load_image(with_exif(Image.fromarray(picture), {0x0112: upright, tag: odd}))
        assert turned.shape == (40, 24, 3)
        assert turned[5, 12, 0] > 200

    @pytest.mark.parametrize(
        "odd", [(2, 2, b"6\0"), (3, 2, struct.pack("<HH", 6, 6)), (5, 1, bytes(8)), (7, 1, b"\6")]
    )
    def test_an_orientation_that_is_none_turns_nothing(self, odd):
        assert load_image(with_exif(Image.fromarray(RED), {0x0112: odd})).shape == RED.shape

    def test_exif_that_cannot_be_read_turns_nothing(self):
        assert load_image(encode(Image.fromarray(RED), "PNG", exif=b"II*")).shape == RED.shape

    @pytest.mark.parametrize("place", ["before", "after"])
    @pytest.mark.parametrize(
        "note",
        [
            png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))),
            png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
            png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(2_000_000))),
            png_chunk(b"tEXt", b"Comment\0damaged")[:-1] + b"?",
        ],
        ids=["zTXt", "iTXt", "iCCP", "checksum"],
    )
    def test_a_png_is_good_whatever_its_notes(self, note, place):
        exif = Image.Exif()
        exif[0x0112] = 6
        png = encode(Image.fromarray(RED), "PNG", exif=exif)
        at = png.index(b"IDAT" if place == "before" else b"IEND") - 4
        assert load_image(png[:at] + note + png[at:]).shape == (6, 4, 3)

    def test_heic(self):
        pytest.importorskip("pillow_heif")
        assert {".heic", ".heif"} <= image_suffixes()  # this registers it for saving, too
        picture = np.zeros((64, 128, 3), dtype=np.uint8)
        picture[:, :64, 0] = 255
        image = load_image(encode(Image.fromarray(picture), "HEIF"))
        assert image.shape == (64, 128, 3)
        assert image[32, 20, 0] > 200
        assert image[32, 100, 0] < 50

    def test_heic_without_its_extra_tells_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
        image_module._register_heif.cache_clear()
        try:
            with pytest.raises(ImageDecodeError, match=r"asmnet\[heic\]"):
                load_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
        finally:
            image_module._register_heif.cache_clear()

    def test_suffixes_are_those_of_pictures(self):
        suffixes = image_suffixes()
        assert {".jpg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".webp", ".bmp"} <= suffixes
        assert not {".pdf", ".eps", ".mpg", ".h5", ".txt", ".mp4", ""} & suffixes


class TestReduced:
    """A smooth picture, so that a place in it has nearly the same colour at any size."""

    @staticmethod
    def picture(width: int, height: int) -> Image.Image:
        y, x = np.mgrid[:height, :width]
        bands = (255 * x / width, 255 * y / height, 255 * (x + y) / (width + height))
        return Image.fromarray(np.stack(bands, axis=2).astype(np.uint8))

    @pytest.mark.parametrize(
        ("longer_side", "factor"), [(801, 1), (401, 1), (400, 2), (201, 2), (200, 4), (10, 8)]
    )
    def test_as_much_smaller_as_the_longer_side_allows(self, longer_side, factor):
        data = encode(self.picture(800, 400), "JPEG")
        image, found = load_reduced(data, longer_side)
        assert found == factor
        assert image.shape == (400 // factor, 800 // factor, 3)

    @pytest.mark.parametrize("size", [(320, 160), (321, 163)])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_points_times_the_factor_are_points_of_the_source(self, size, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(self.picture(*size), "JPEG", quality=100, exif=exif)
        full = load_image(data)
        image, factor = load_reduced(data, 40)
        assert factor == (8 if size == (320, 160) or orientation == 1 else 1)
        # The middle of a pixel is a corner between pixels of the source.
        rows, columns = (np.arange(2, n - 2) for n in image.shape[:2])
        shift = factor // 2
        corners = full[rows * factor + shift][:, columns * factor + shift].astype(int)
        inner = image[2:-2, 2:-2].astype(int)
        assert np.abs(inner - corners).max() <= (4 if factor > 1 else 0)

    def test_other_sources_are_as_they_were(self, tmp_path):
        picture = self.picture(80, 40)
        (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))
        for source in (tmp_path / "a.png", encode(picture, "WEBP"), picture, np.asarray(picture)):
            image, factor = load_reduced(source, 10)
            assert factor == 1
            assert np.array_equal(image, load_image(source))

    def test_a_strip_lower_than_the_factor(self):
        image, factor = load_reduced(encode(self.picture(800, 3), "JPEG"), 10)
        assert (image.shape, factor) == ((2, 400, 3), 2)

    def test_bad_files_and_the_limit(self, monkeypatch):
        data = encode(self.picture(800, 400), "JPEG")
        with pytest.raises(ImageDecodeError):
            load_reduced(data[:-100], 100)
        with pytest.raises(InvalidImageError, match="int"):
            load_reduced(3, 100)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800 * 400 - 1)
        with pytest.raises(ImageTooLargeError):
            load_reduced(data, 100)


class TestBadInput:
    @pytest.mark.parametrize(
        "error", [ZeroDivisionError, AttributeError, RecursionError, AssertionError, EOFError]
    )
    @pytest.mark.parametrize("step", ["open", "load"])
    def test_any_exception_of_a_decoder_is_ours(self, monkeypatch, error, step):
        def broken(*arguments):
            raise error("from a plugin")

        data = encode(Image.fromarray(RED), "PNG")
        if step == "open":
            monkeypatch.setitem(Image.OPEN, "PNG", (broken, None))
        else:
            monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", broken)
        with pytest.raises(ImageDecodeError, match=error.__name__) as caught:
            load_image(data)
        assert isinstance(caught.value.__cause__, error)

    @pytest.mark.parametrize("error", [MemoryError, Image.DecompressionBombError])
    def test_what_does_not_fit_is_too_large(self, monkeypatch, error):
        def broken(*arguments):
            raise error("from a plugin")

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", broken)
        with pytest.raises(ImageTooLargeError, match="pixels"):
            load_image(encode(Image.fromarray(RED), "PNG"))

    def test_interrupts_pass_through(self, monkeypatch):
        def interrupted(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_image(encode(Image.fromarray(RED), "PNG"))

    def test_a_huge_picture_inside_of_a_small_one(self):
        icon = (
            b"ic10"
            + struct.pack(">I", 8 + len(png_header(14000, 14000)))
            + png_header(14000, 14000)
        )
        with pytest.raises(ImageTooLargeError, match="MAX_IMAGE_PIXELS"):
            load_image(b"icns" + struct.pack(">I", 8 + len(icon)) + icon)

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
        with pytest.raises(ImageDecodeError, match=r"text\.jpg") as caught:
            load_image(path)
        assert "heic" not in str(caught.value)

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

    @pytest.mark.slow  # and Pillow 10.3 ends the process where it writes some of the seeds
    def test_the_fuzzer_knows_every_format_that_pillow_opens(self):
        known = {name.upper() for name in seeds()}
        assert set(Image.OPEN) - set(image_module._NO_PICTURES) - known == set()

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")  # of odd metadata that does no harm
    def test_damaged_files_of_every_format(self):
        """`make fuzz` tries more of them."""
        rng = random.Random(0)  # noqa: S311
        files = seeds()
        for form in sorted(files):
            for _ in range(15):
                data = damaged(rng.choice(files[form]), rng, files)
                with contextlib.suppress(ImageDecodeError, ImageTooLargeError, InvalidImageError):
                    assert load_image(data).dtype == np.uint8

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
    def test_what_the_fuzzer_found(self, path):
        if path.name.startswith("good-"):
            assert load_image(path).size
        else:
            with pytest.raises(ImageError):
                load_image(path)

    def test_huge_header_is_refused_before_decoding(self):
        with pytest.raises(ImageTooLargeError, match="MAX_IMAGE_PIXELS"):
            load_image(png_header(30_000, 30_000))

    @pytest.mark.filterwarnings("ignore")  # Pillow's warning is an error in this suite only
    def test_the_limit_is_exact_and_can_be_raised(self, monkeypatch):
        data = encode(Image.fromarray(RED), "PNG")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 23)
        with pytest.raises(ImageTooLargeError, match="23"):
            load_image(data)
        for limit in (24, None):
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
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

    @pytest.mark.parametrize(
        "path", ["a\0b.jpg", "data:image/png;base64," + 5000 * "A", "\ud800", __file__ + "/a.jpg"]
    )
    def test_names_that_no_file_can_have(self, path):
        with pytest.raises(ImageDecodeError):
            load_image(path)


class TestLetterbox:
    def test_keeps_aspect_and_pads_to_multiples(self):
        canvas, scale = letterbox(np.full((100, 200, 3), 255, np.uint8), 320, multiple=32)
        assert canvas.shape == (160, 320, 3)
        assert scale == pytest.approx([1.6, 1.6])
        canvas, scale = letterbox(np.full((10, 300, 3), 255, np.uint8), 320, multiple=32)
        assert canvas.shape == (32, 320, 3)
        assert canvas[11:].max() == 0  # padded in black

    def test_shrinking_averages_and_enlarging_blends(self):
        stripes = np.zeros((40, 1280, 3), np.uint8)
        stripes[:, ::4] = 255
        canvas, _ = letterbox(stripes, 320, multiple=32)
        assert set(canvas[0, :, 0].tolist()) <= {63, 64}
        canvas, _ = letterbox(np.array([[[0] * 3, [255] * 3]], np.uint8), 320, multiple=32)
        assert len(np.unique(canvas[0])) > 100

    def test_a_wide_image_is_scaled_as_a_whole(self):
        image = np.zeros((50, 64_000, 3), np.uint8)
        image[:, 48_000:] = 255  # the last quarter
        canvas, scale = letterbox(image, 320, multiple=32)
        assert scale == pytest.approx([1 / 200, 1 / 50])
        assert canvas[0, :, 0].tolist() == 240 * [0] + 80 * [255]

    @pytest.mark.parametrize("size", [(500, 400), (640, 480), (1240, 952), (2600, 1800)])
    def test_shrinking_is_nearly_the_mean_over_areas(self, size):
        noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        canvas, factors = letterbox(noise, 320, multiple=1)
        means = cv2.resize(noise, canvas.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(canvas - means).mean() < 0.7 * means.std()
        assert factors == pytest.approx(np.divide(canvas.shape[1::-1], size), rel=0.005)

    @pytest.mark.parametrize("width", [641, 1243, 2601])
    def test_a_last_column_without_a_partner_is_seen_and_counted(self, width):
        image = np.zeros((480, width, 3), np.uint8)
        image[:, width // 2 :] = 255
        canvas, factors = letterbox(image, 320, multiple=1)
        (edge,) = (
            np.interp([127.5], canvas[0, :, 0].astype(float), np.arange(canvas.shape[1])) + 0.5
        )
        assert edge == pytest.approx(factors[0] * (width // 2), abs=0.3)
        assert canvas[0, -1, 0] == 255

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

    @pytest.mark.parametrize("corner", [(-500.0, -500.0), (500.0, 10.0), (10.0, -500.0)])
    @pytest.mark.parametrize("side", [30.0, 300.0])
    def test_outside_of_the_image_is_black(self, corner, side):
        box = np.array([*corner, corner[0] + side, corner[1] + side])
        transform = CropTransform.from_bbox(box, 112, margin=1.25)
        assert crop_image(np.full((50, 50, 3), 255, np.uint8), transform).max() == 0

    @pytest.mark.parametrize("side", [7.3, 20.6, 60.1])
    @pytest.mark.parametrize("angle", [0.0, 33.0])
    def test_an_enlarged_crop_is_a_warp_of_the_whole_image(self, side, angle):
        """Up to its edges, which are blended with pixels beyond them."""
        image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
        box = np.array([31.1, 27.2, 31.1 + side, 27.2 + side])
        transform = CropTransform.from_bbox(box, 96, margin=1.1, angle=angle)
        linear, offset = transform.matrix[:, :2], transform.matrix[:, 2]
        centred = np.column_stack([linear, offset + linear @ [0.5, 0.5] - 0.5])
        expected = cv2.warpAffine(image, centred, (96, 96), flags=cv2.INTER_LINEAR).astype(int)
        assert np.abs(crop_image(image, transform) - expected).max() <= 1

    @pytest.mark.parametrize("side", [20.0, 90.0, 900.0])
    @pytest.mark.parametrize("angle", [0.0, 30.0])
    def test_an_image_wider_than_opencv_warps(self, monkeypatch, side, angle):
        """OpenCV 4 refuses sides from 32,767 pixels on."""
        warp = cv2.warpAffine

        def strict(image, *arguments, **options):
            assert max(image.shape) < 2**15 - 1
            return warp(image, *arguments, **options)

        monkeypatch.setattr(cv2, "warpAffine", strict)
        rng = np.random.default_rng(0)
        image = np.zeros((400, 60_000, 3), dtype=np.uint8)
        image[:, 50_000:50_400] = rng.integers(0, 256, (400, 400, 3), dtype=np.uint8)
        box = np.array([1190.0, 180, 1190 + side, 180 + side])
        near = CropTransform.from_bbox(box, 96, margin=1.25, angle=angle)
        far = CropTransform.from_bbox(
            box + np.array([49_000, 0, 49_000, 0]), 96, margin=1.25, angle=angle
        )
        expected = crop_image(np.ascontiguousarray(image[:, 49_000:53_000]), near).astype(int)
        assert np.ptp(expected) > 50
        # Rounding alone may differ.
        assert np.abs(crop_image(image, far) - expected).max() <= 1

    @pytest.mark.parametrize("side", [1e-6, 1e3, 1e6])
    def test_boxes_of_absurd_size(self, side):
        transform = CropTransform.from_bbox(np.array([0, 0, side, side]), 112, margin=1.25)
        assert crop_image(np.zeros((50, 50, 3), np.uint8), transform).shape == (112, 112, 3)
