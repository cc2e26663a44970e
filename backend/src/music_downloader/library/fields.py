"""Which field of a track stands where in which container.

The names are the ones that music servers share: ID3v2.4 (https://id3.org/id3v2.4.0-frames), iTunes' MP4
atoms, Vorbis comments (https://xiph.org/vorbis/doc/v-comment.html), and Picard's for what those leave open.
"""

from dataclasses import dataclass

_ITUNES = "----:com.apple.iTunes:"

PADDING = 1024  # bytes left free, so that a person's own tagger needn't move the audio for a small correction

# Texts by field name. The numbered fields hold one text, "3" or "3/12"; an absent field is missing or empty.
Values = dict[str, list[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One row: the ID3 frame, the MP4 atom and the Vorbis name of a field.

    `also` are Vorbis names that are read but never written; `total` is where Vorbis keeps the "of how many"
    of a numbered field, which ID3 and MP4 keep beside the number.
    """

    id3: str
    mp4: str
    vorbis: str
    also: tuple[str, ...] = ()
    total: tuple[str, ...] = ()


FIELDS: dict[str, Field] = {
    "title": Field(id3="TIT2", mp4="\xa9nam", vorbis="TITLE"),
    "artist": Field(id3="TPE1", mp4="\xa9ART", vorbis="ARTIST"),
    "artists": Field(id3="TXXX:ARTISTS", mp4=f"{_ITUNES}ARTISTS", vorbis="ARTISTS"),
    "album": Field(id3="TALB", mp4="\xa9alb", vorbis="ALBUM"),
    "album_artist": Field(id3="TPE2", mp4="aART", vorbis="ALBUMARTIST", also=("ALBUM ARTIST",)),
    "album_artists": Field(id3="TXXX:ALBUMARTISTS", mp4=f"{_ITUNES}ALBUMARTISTS", vorbis="ALBUMARTISTS"),
    "track": Field(id3="TRCK", mp4="trkn", vorbis="TRACKNUMBER", total=("TRACKTOTAL", "TOTALTRACKS")),
    "disc": Field(id3="TPOS", mp4="disk", vorbis="DISCNUMBER", total=("DISCTOTAL", "TOTALDISCS")),
    "date": Field(id3="TDRC", mp4="\xa9day", vorbis="DATE", also=("YEAR",)),
    "genres": Field(id3="TCON", mp4="\xa9gen", vorbis="GENRE"),
    "compilation": Field(id3="TCMP", mp4="cpil", vorbis="COMPILATION"),
    "isrc": Field(id3="TSRC", mp4=f"{_ITUNES}ISRC", vorbis="ISRC"),
    "comment": Field(id3="COMM", mp4="\xa9cmt", vorbis="COMMENT", also=("DESCRIPTION",)),
    "source_id": Field(id3="TXXX:SOURCE_ID", mp4=f"{_ITUNES}SOURCE_ID", vorbis="SOURCE_ID"),
    "lyrics": Field(id3="USLT", mp4="\xa9lyr", vorbis="LYRICS", also=("UNSYNCEDLYRICS",)),
    "track_gain": Field(
        id3="TXXX:REPLAYGAIN_TRACK_GAIN",
        mp4=f"{_ITUNES}REPLAYGAIN_TRACK_GAIN",
        vorbis="REPLAYGAIN_TRACK_GAIN",
    ),
    "track_peak": Field(
        id3="TXXX:REPLAYGAIN_TRACK_PEAK",
        mp4=f"{_ITUNES}REPLAYGAIN_TRACK_PEAK",
        vorbis="REPLAYGAIN_TRACK_PEAK",
    ),
    "album_gain": Field(
        id3="TXXX:REPLAYGAIN_ALBUM_GAIN",
        mp4=f"{_ITUNES}REPLAYGAIN_ALBUM_GAIN",
        vorbis="REPLAYGAIN_ALBUM_GAIN",
    ),
    "album_peak": Field(
        id3="TXXX:REPLAYGAIN_ALBUM_PEAK",
        mp4=f"{_ITUNES}REPLAYGAIN_ALBUM_PEAK",
        vorbis="REPLAYGAIN_ALBUM_PEAK",
    ),
}

# Opus has gains of its own (RFC 7845, section 5.2.1) instead of these; None is a field that it lacks.
OPUS_GAINS: dict[str, str | None] = {
    "track_gain": "R128_TRACK_GAIN",
    "track_peak": None,
    "album_gain": "R128_ALBUM_GAIN",
    "album_peak": None,
}
