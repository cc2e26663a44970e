"""Covers of one plain colour each, so that a picture tells whose it is after a server has shrunk it."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
from tests import media

RGB = tuple[int, int, int]
SIZE = 600  # pixels; minidlna scales what is larger than 160
_NEAR = 12  # of 255: what JPEG does to a colour


def make_cover(file: Path, colour: RGB) -> bytes:
    """Paint `file`, a square JPEG of this colour, and return its bytes."""
    value = "0x" + "".join(f"{part:02x}" for part in colour)
    media.ffmpeg("-f", "lavfi", "-i", f"color=c={value}:s={SIZE}x{SIZE}", "-frames:v", "1", "-q:v", "2", file)
    return file.read_bytes()


def is_of(picture: bytes, colour: RGB) -> bool:
    """Tell whether a picture is a JPEG of this colour."""
    if not picture.startswith(b"\xff\xd8\xff"):
        return False
    still = ("-i", "-", "-frames:v", "1", "-vf", "scale=1:1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *still]
    pixel = subprocess.run(command, check=True, input=picture, capture_output=True).stdout
    return len(pixel) == len(colour) and all(
        abs(seen - meant) <= _NEAR for seen, meant in zip(pixel, colour, strict=True)
    )
