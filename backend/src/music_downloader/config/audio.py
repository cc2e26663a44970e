"""The audio formats a person may ask for."""

from enum import StrEnum


class AudioFormat(StrEnum):
    """What the library keeps of a source.

    `best` is the source's own codec, never transcoded; the others name a codec and its usual container.
    """

    BEST = "best"
    MP3 = "mp3"
    M4A = "m4a"
    OPUS = "opus"
    FLAC = "flac"
