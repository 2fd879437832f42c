"""A small good file of every format that Pillow opens, in most of its kinds, for the fuzzer."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image

import asmnet.image

WIDTH, HEIGHT = 24, 16
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16")
OPTIONS = {
    "JPEG": [{"progressive": True}, {"subsampling": 0, "quality": 100}, {"exif": True}],
    "MPO": [{"save_all": True, "append_images": True}],
    "PNG": [{"save_all": True, "append_images": True}, {"exif": True}, {"icc_profile": bytes(200)}],
    "WEBP": [
        {"lossless": True},
        {"save_all": True, "append_images": True},
        {"exif": True, "icc_profile": bytes(200), "xmp": b"<tiff:Orientation>6<"},
    ],
    "AVIF": [{"save_all": True, "append_images": True}, {"exif": True}],
    "HEIF": [{"exif": True}],
    "GIF": [{"save_all": True, "append_images": True}, {"interlace": 1, "comment": b"a comment"}],
    "JPEG2000": [{"irreversible": True}, {"tile_size": (8, 8)}, {"no_jp2": True}],
    "TGA": [{"compression": "tga_rle"}],
    "BMP": [{"bitmap_format": "bmp"}],
    "ICO": [{"sizes": [(16, 16)], "bitmap_format": "bmp"}, {"sizes": [(8, 8), (16, 16)]}],
    "SGI": [{"bpc": 2}],
    "DDS": [{"pixel_format": kind} for kind in ("DXT1", "DXT3", "DXT5", "BC2", "BC5")],
    "BLP": [{"blp_version": "BLP1"}, {"blp_version": "BLP2"}],
    "TIFF": [
        *(
            {"compression": kind}
            for kind in (
                "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "group3", "group4",
                "tiff_ccitt", "zstd", "webp", "lzma", "tiff_raw_16",
            )
        ),
        {"save_all": True, "append_images": True, "exif": True},
        {"big_tiff": True},
    ],
}  # fmt: skip


@cache
def seeds() -> dict[str, list[bytes]]:
    """Files by format."""
    Image.init()
    asmnet.image.image_suffixes()  # registers HEIC, if it can be read
    found: dict[str, list[bytes]] = {}
    for form in sorted(Image.SAVE):
        for mode in MODES:
            for options in ({}, *OPTIONS.get(form, ())):
                # Not every format has every mode and option.
                with suppress(Exception), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    data = _saved(mode, form, options)
                    if data not in found.get(form, ()) and _decodes(data):
                        found.setdefault(form, []).append(data)
    for form, data in _by_hand():
        found.setdefault(form, []).append(data)
    return found


def _saved(mode: str, form: str, options: dict[str, object]) -> bytes:
    image = _picture(mode)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x011A] = 6, "a description", 72.0
    exif.get_ifd(0x8825)[1] = "N"
    special = {"exif": exif, "append_images": [_picture(mode)]}
    options = {name: special[name] if value is True and name in special else value
               for name, value in options.items()}  # fmt: skip
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _decodes(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return True


def _picture(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[4:12] //= 64  # runs, for what compresses them
    if mode == "I;16":
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) << 8)
    return Image.fromarray(pixels).convert(mode)


def _by_hand() -> Iterator[tuple[str, bytes]]:
    """Formats that Pillow reads only."""
    grey = np.asarray(_picture("L"), dtype=np.uint8)
    colour = np.asarray(_picture("RGB"), dtype=np.uint8)
    icon = _saved("RGBA", "ICO", {"sizes": [(16, 16)], "bitmap_format": "bmp"})
    yield "CUR", b"\0\0\2\0" + icon[4:]
    page = _saved("RGB", "PCX", {})
    yield "DCX", struct.pack("<LLL", 0x3ADE68B1, 12, 0) + page
    card = [f"SIMPLE  = {'T':>20}", f"BITPIX  = {8:>20}", f"NAXIS   = {2:>20}"]
    card += [f"NAXIS1  = {WIDTH:>20}", f"NAXIS2  = {HEIGHT:>20}", "END"]
    yield "FITS", "".join(f"{line:80}" for line in card).ljust(2880).encode() + grey.tobytes()
    frame = struct.pack("<LH", 10 + 768, 11) + struct.pack("<HBB", 1, 0, 0) + bytes(768)
    runs = struct.pack("<LH", 6 + WIDTH * HEIGHT, 16) + grey.tobytes()
    chunks = struct.pack("<LHH", 16 + len(frame) + len(runs), 0xF1FA, 2) + bytes(8) + frame + runs
    head = struct.pack("<LHHHHHHHL", 128 + len(chunks), 0xAF12, 1, WIDTH, HEIGHT, 8, 3, 0, 70)
    yield "FLI", head.ljust(128, b"\0") + chunks
    texture = struct.pack("<4s9i", b"FTEX", 3, WIDTH, HEIGHT, 1, 1, 1, 32, colour.size, 0)[:36]
    yield "FTEX", texture + colour.tobytes()
    yield (
        "GBR",
        struct.pack(">LLLLL4sL", 30, 2, WIDTH, HEIGHT, 1, b"GIMP", 10) + b"a\0" + (grey.tobytes()),
    )
    text = f"* a comment\nwidth {WIDTH}\nheight {HEIGHT}\npixel n8\n\f"
    yield "IMT", text.encode() + grey.tobytes()
    number, length = b"\x1c\x03", struct.pack(">H", 1)
    yield "IPTC", (
        number + b"\x3c" + struct.pack(">H", 2) + b"\1\0"
        + number + b"\x14" + struct.pack(">H", 2) + struct.pack(">H", WIDTH)
        + number + b"\x1e" + struct.pack(">H", 2) + struct.pack(">H", HEIGHT)
        + number + b"\x41" + length + b"\0" + number + b"\x78" + length + b"\1"
        + b"\x1c\x08\x0a" + struct.pack(">H", grey.size) + grey.tobytes()
    )  # fmt: skip
    words = [0] * 64
    words[1], words[8], words[9], words[10], words[13], words[14], words[33] = (
        4, HEIGHT, WIDTH, 1, 1, 0, 256,
    )  # fmt: skip
    yield "MCIDAS", struct.pack(">64i", *words) + grey.tobytes()
    yield "PCD", bytes(2048) + b"PCD_".ljust(96 * 2048, b"\0") + bytes(768 * 512 * 3 // 2)
    pixar = b"\200\350\0\0".ljust(416, b"\0") + struct.pack("<HH", HEIGHT, WIDTH)
    yield (
        "PIXAR",
        pixar.ljust(424, b"\0") + struct.pack("<HH", 14, 2).ljust(600, b"\0") + (colour.tobytes()),
    )
    planes = colour.transpose(2, 0, 1).tobytes()
    head = b"8BPS" + struct.pack(">H6sHLLHH", 1, b"", 3, HEIGHT, WIDTH, 8, 3)
    yield "PSD", head + bytes(12) + struct.pack(">H", 0) + planes
    layer = struct.pack(">llllH", 0, 0, HEIGHT, WIDTH, 1) + struct.pack(">hL", 0, grey.size + 2)
    layer += b"8BIMnorm" + bytes(4) + struct.pack(">L", 12) + bytes(12)
    layers = struct.pack(">h", 1) + layer + bytes(2) + grey.tobytes()
    sections = bytes(8) + struct.pack(">LL", len(layers) + 8, len(layers)) + layers + bytes(4)
    yield "PSD", head + sections + struct.pack(">H", 0) + planes
    rgb = b"".join(b"\xfe" + bytes(pixel) for pixel in colour.reshape(-1, 3))
    yield "QOI", b"qoif" + struct.pack(">LLBB", WIDTH, HEIGHT, 3, 0) + rgb + bytes(7) + b"\1"
    yield (
        "SUN",
        struct.pack(">8L", 0x59A66A95, WIDTH, HEIGHT, 8, grey.size, 1, 0, 0) + (grey.tobytes()),
    )
    yield "XVTHUMB", f"P7 332\n#XVVERSION:2\n{WIDTH} {HEIGHT} 255\n".encode() + grey.tobytes()
    rows = ",\n".join('"' + "".join("ab"[int(v > 127)] for v in row) + '"' for row in grey)
    xpm = f'"{WIDTH} {HEIGHT} 2 1",\n"a c #ff0000",\n"b c None",\n{rows}\n'
    yield "XPM", f"/* XPM */\nstatic char *a[] = {{\n{xpm}}};\n".encode()
