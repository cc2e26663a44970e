"""Small real media files, made once a session by the ffmpeg that ships with imageio-ffmpeg.

song = media.make("mp3", title="A Song", artist="Somebody")
cover = media.picture("jpg", width=600, height=600)
playlist = media.hls()  # with its segments beside it; source.folder() serves them all
"""

import functools
import hashlib
import shutil
import subprocess
import tempfile
from atexit import register
from pathlib import Path

import imageio_ffmpeg

SECONDS = 2.5
_CODING = {
    "mp3": ("-c:a", "libmp3lame", "-b:a", "96k"),
    "m4a": ("-c:a", "aac", "-b:a", "96k"),
    "alac.m4a": ("-c:a", "alac"),
    "fragmented.m4a": ("-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
    "aac": ("-c:a", "aac", "-f", "adts"),
    "opus": ("-c:a", "libopus", "-b:a", "64k"),
    "flac": ("-c:a", "flac"),
    "ogg": ("-c:a", "libvorbis"),
    "wav": ("-c:a", "pcm_s16le"),
    "aiff": ("-c:a", "pcm_s16be"),
    "webm": ("-c:a", "libopus", "-b:a", "64k"),
    "ac3.mkv": ("-c:a", "ac3"),
    "mp4": ("-c:a", "aac", "-c:v", "mpeg4", "-shortest"),
    "silent.mp4": ("-an", "-c:v", "mpeg4"),
    "ts": ("-c:a", "aac", "-f", "mpegts"),
}
KINDS = tuple(_CODING)
_PICTURES = {
    "jpg": ("-frames:v", "1", "-q:v", "3"),
    "png": ("-frames:v", "1"),
    "webp": ("-frames:v", "1", "-c:v", "libwebp"),
    "bmp": ("-frames:v", "1"),
    "gif": ("-frames:v", "1"),
    "animated.gif": ("-t", "1"),
    "animated.webp": ("-t", "1", "-c:v", "libwebp_anim"),
    "animated.png": ("-t", "1", "-f", "apng"),
}


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="media-"))
    register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg, quietly, overwriting what is there."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    subprocess.run([*command, *map(str, arguments)], check=True)


def make(kind: str, *, seconds: float = SECONDS, frequency: int = 440, **tags: str) -> Path:
    """Return a file of `kind` (one of `KINDS`): a tone with these tags. The same call gives the same file.

    Treat it as read-only: it is shared by all tests of the session.
    """
    facts = repr((kind, seconds, frequency, sorted(tags.items())))
    file = _folder() / f"{hashlib.sha256(facts.encode()).hexdigest()[:16]}.{kind.rpartition('.')[2]}"
    if not file.exists():
        sound = ("-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=48000:duration={seconds}")
        picture = ("-f", "lavfi", "-i", f"color=c=blue:s=64x64:r=5:d={seconds}") if "mp4" in kind else ()
        metadata = [part for name, value in tags.items() for part in ("-metadata", f"{name}={value}")]
        ffmpeg(*sound, *picture, "-ac", "2", *_CODING[kind], *metadata, file)
    return file


def picture(kind: str = "jpg", *, width: int = 600, height: int = 600) -> Path:
    """Return a still of `kind` (jpg, png, webp, bmp, gif; or `animated.` gif, webp, png): a test card."""
    facts = f"{kind}-{width}x{height}".replace(".", "-")
    file = _folder() / f"{facts}.{kind.rpartition('.')[2]}"
    if not file.exists():
        card = ("-f", "lavfi", "-i", f"testsrc=s={width}x{height}:r=4")
        ffmpeg(*card, "-metadata", "title=secret", *_PICTURES[kind], file)
    return file


def hls(*, seconds: float = SECONDS, frequency: int = 440) -> Path:
    """Return an HLS playlist of AAC in MPEG-TS, one second a segment, with its segments beside it."""
    return _stream(
        "index.m3u8", seconds, frequency, "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"
    )


def dash(*, seconds: float = SECONDS, frequency: int = 440) -> Path:
    """Return a DASH manifest of AAC in fragmented MP4, one second a segment, with its segments beside it."""
    return _stream("manifest.mpd", seconds, frequency, "-f", "dash", "-seg_duration", "1")


def _stream(name: str, seconds: float, frequency: int, *muxing: str) -> Path:
    manifest = _folder() / f"{name}-{seconds}-{frequency}" / name
    if not manifest.exists():
        manifest.parent.mkdir(exist_ok=True)
        sound = ("-f", "lavfi", "-i", f"sine=frequency={frequency}:sample_rate=48000:duration={seconds}")
        ffmpeg(*sound, "-ac", "2", "-c:a", "aac", "-b:a", "96k", *muxing, manifest)
    return manifest
