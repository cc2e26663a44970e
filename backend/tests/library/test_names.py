# ruff: noqa: RUF001  # the letters that look alike are what is tested
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_downloader.config.template import Template
from music_downloader.library.names import numbered, relative_path, safe_part
from music_downloader.library.tags import TrackTags

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
ZALGO = "Z" + "\u0336\u0321\u0489" * 200
NASTY = [
    ("", "_"),
    (".", "_"),
    ("..", "_"),
    ("...", "_"),
    (" . . ", "_"),
    ("???", "_"),
    ("\x00", "_"),
    ("\ud800", "_"),
    ("\u200b\u200d\ufeff", "_"),
    ("\u202e", "_"),
    ("\u3164", "_"),
    ("/", "-"),
    ("../../etc/passwd", "-..-etc-passwd"),
    ("..\\..\\windows", "-..-windows"),
    ("/etc/passwd", "-etc-passwd"),
    ("C:\\Music", "C--Music"),
    ("AC/DC", "AC-DC"),
    ("Title: The Sequel", "Title - The Sequel"),
    ("Re:Zero", "Re-Zero"),
    ("12:34", "12-34"),
    ("What?", "What"),
    ("Who? What?", "Who What"),
    ('"Heroes"', "'Heroes'"),
    ("N*E*R*D", "N_E_R_D"),
    ("<3", "(3"),
    ("a | b", "a - b"),
    ("Mr.", "Mr"),
    ("Wait...", "Wait"),
    (".hidden", "hidden"),
    ("...And Justice for All", "And Justice for All"),
    ("R.E.M.", "R.E.M"),
    ("  too \t many\r\nblanks ", "too many blanks"),
    ("CON", "_CON"),
    ("con", "_con"),
    ("nul.txt", "_nul.txt"),
    ("NUL.tar.gz", "_NUL.tar.gz"),
    ("AUX .mp3", "_AUX .mp3"),
    ("COM1", "_COM1"),
    ("LPT¹", "_LPT¹"),
    ("com²", "_com²"),
    ("CONIN$", "_CONIN$"),
    ("CLOCK$", "_CLOCK$"),
    ("Concerto", "Concerto"),
    ("COM10", "COM10"),
    ("@eaDir", "_@eaDir"),
    ("#recycle", "_#recycle"),
    ("Abc\u202egpj.exe", "Abcgpj.exe"),
    ("a\u200bb\u2060c\ufeffd", "abcd"),
    ("a\ue000b", "ab"),
    ("a\uffffb\U0001ffffc", "abc"),
    ("a\x7fb\x1fc\x85d", "abc d"),
    ("Bjo\u0308rk", "Björk"),
    ("e\u200b\u0301", "é"),
    ("\u0301abc", "abc"),
    (FAMILY, FAMILY),
    ("a\u200db", "ab"),
    ("❤️\u200d🔥 Heart", "❤️\u200d🔥 Heart"),
    ("می\u200cخواهم", "میخواهم"),
    ("桜" * 300, "桜" * 85),
    ("é" * 300, "é" * 127),
    (FAMILY * 20, FAMILY * 10),
    ("🇩🇪" * 40, "🇩🇪" * 31),
    ("👍🏽" * 40, "👍🏽" * 31),
    ("x" * 254 + " y", "x" * 254),
    ("x" * 254 + "é", "x" * 254),
    ("\u1100\u1161\u11a8", "각"),
    ("ｆｕｌｌ：ｗｉｄｔｈ／", "ｆｕｌｌ：ｗｉｄｔｈ／"),
]


def is_legal(name: str) -> bool:
    """The rules once more, in other words than the code's."""
    stem = name.partition(".")[0].rstrip().upper()
    devices = {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"}
    ports = {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}
    return (
        0 < len(name.encode("utf-8")) <= 255
        and len(name.encode("utf-16-le")) // 2 <= 255
        and not set(name) & set('<>:"/\\|?*')
        and not any(unicodedata.category(letter) in {"Cc", "Cs", "Co", "Zl", "Zp"} for letter in name)
        and not any(unicodedata.category(letter) == "Cf" and letter != "\u200d" for letter in name)
        and name == name.strip(" .")
        and unicodedata.is_normalized("NFC", name)
        and stem not in devices | ports
    )


@pytest.mark.parametrize(("text", "expected"), NASTY)
def test_a_nasty_title_becomes_a_plain_name(text: str, expected: str, tmp_path: Path) -> None:
    assert safe_part(text) == expected
    assert is_legal(expected)
    (tmp_path / expected).write_bytes(b"")
    assert [file.name for file in tmp_path.iterdir()] == [expected]


def test_a_tower_of_marks_keeps_its_letter() -> None:
    assert safe_part(ZALGO).startswith("Z")
    assert safe_part("a" + ZALGO) == "a"


ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs", "Cf", "Mn", "Co"]), max_size=400)
NASTY_TEXT = st.lists(
    st.sampled_from([part for part, _ in NASTY] + list("./\\ :?\u0301\u200d🏽🇩é")), max_size=6
).map("".join)


@given(ANY_TEXT | NASTY_TEXT)
def test_any_text_becomes_one_legal_component_that_stays(text: str) -> None:
    name = safe_part(text)
    assert is_legal(name)
    assert len(PurePosixPath(name).parts) == 1
    assert safe_part(name) == name


@given(ANY_TEXT | NASTY_TEXT, st.integers(1, 60))
def test_any_limit_is_kept(text: str, limit: int) -> None:
    name = safe_part(text, limit=limit)
    assert len(name.encode()) <= limit
    assert is_legal(name)
    assert safe_part(name, limit=limit) == name


@given(
    ANY_TEXT | NASTY_TEXT,
    ANY_TEXT | NASTY_TEXT,
    ANY_TEXT | NASTY_TEXT | st.none(),
    st.none() | st.integers(1, 9999),
)
def test_any_track_is_filed_inside_of_the_library(
    title: str, artist: str, album: str | None, number: int | None
) -> None:
    tags = TrackTags(
        title=title,
        artists=(artist,),
        album=album,
        track_number=number,
        disc_number=number,
        date="2001-02-03",
    )
    path = relative_path(tags, "mp3")
    assert not path.is_absolute()
    assert len(path.parts) in {2, 3}
    assert all(is_legal(part) for part in path.parts)
    assert len(str(path).encode()) <= 1000
    assert len(numbered(path.name, 99).encode()) <= 255
    assert numbered(path.name, 99) == f"{path.stem} (99).mp3"


NASTY_TAGS = st.builds(
    TrackTags,
    title=ANY_TEXT | NASTY_TEXT,
    artists=st.lists(ANY_TEXT | NASTY_TEXT, max_size=2).map(tuple),
    album=ANY_TEXT | NASTY_TEXT | st.none(),
    album_artists=st.lists(ANY_TEXT | NASTY_TEXT, max_size=2).map(tuple),
    genres=st.lists(ANY_TEXT | NASTY_TEXT, max_size=2).map(tuple),
    source_id=ANY_TEXT | NASTY_TEXT | st.sampled_from(["../x:1", "a/b:2", ":", "..:", "CON:1"]),
    date=st.none() | st.sampled_from(["1997", "1997-09", "1997-09-22"]),
    track_number=st.none() | st.integers(1, 9999),
    disc_number=st.none() | st.integers(1, 9999),
)
TEMPLATES = [
    "{title}",
    "{artist} - {title}",
    "{genre}/{source}/{album_artist}/{album}/[{disc}]/{date}/{title}",
    "[{genre}]/{album} ({year})/{track} {artist} [{source} ]{title}",
    "{album_artist}{album_artist}{album_artist}/{source}{genre}{title}{title}",
    "...{source}/ {title} ...",
    "CON/{title}",
    "NUL.{title}",
]


@pytest.mark.parametrize("template", TEMPLATES)
@given(tags=NASTY_TAGS, limit=st.sampled_from([255, 143]))
def test_whatever_template_and_tags_a_track_stays_in_the_library(
    template: str, tags: TrackTags, limit: int
) -> None:
    path = relative_path(tags, "flac", template=Template(template), limit=limit)
    assert not path.is_absolute()
    assert 1 <= len(path.parts) <= 8
    assert ".." not in path.parts
    assert path.parts[0].casefold() != ".nas-music"
    assert all(is_legal(part) and len(part.encode()) <= limit for part in path.parts)
    assert len(numbered(path.name, 999).encode()) <= limit
    assert path.suffix == ".flac"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{artist} - {title}", "A & B - T.mp3"),
        ("{genre}/{album_artist}/{album}/{title}", "Trip Hop/X/L/T.mp3"),
        ("{source}/{date}/{disc}/{track} {title}", "bandcamp/1997-09-22/2/2-03 T.mp3"),
        ("{year}/{album}[ ({genre})]/{title}", "1997/L (Trip Hop)/T.mp3"),
    ],
)
def test_a_template_of_ones_own_is_followed(template: str, expected: str) -> None:
    tags = TrackTags(
        title="T",
        artists=("A", "B"),
        album="L",
        album_artists=("X",),
        genres=("Trip Hop", "Pop"),
        date="1997-09-22",
        track_number=3,
        disc_number=2,
        source_id="Bandcamp:123",
    )
    assert relative_path(tags, "mp3", template=Template(template)) == PurePosixPath(expected)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{album_artist}/{title}", "Unknown Artist/T.mp3"),
        ("{artist}/{album}/{year}/{genre}/{source}/{disc}/{title}", "Unknown Artist/T.mp3"),
        ("[{track} ]{title}[ ({date})]", "T.mp3"),
    ],
)
def test_a_track_of_which_nothing_is_known_has_its_place_too(template: str, expected: str) -> None:
    tags = TrackTags(title="T", track_number=3, source_id="no extractor")
    assert relative_path(tags, "mp3", template=Template(template)) == PurePosixPath(expected)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (TrackTags(title="T", artists=("A",)), "A/T.mp3"),
        (TrackTags(title="T", artists=("A", "B")), "A/T.mp3"),
        (TrackTags(title="T"), "Unknown Artist/T.mp3"),
        (TrackTags(title="CON", artists=("NUL",)), "_NUL/_CON.mp3"),
        (TrackTags(title="T", artists=("A",), album="L"), "A/L/T.mp3"),
        (TrackTags(title="T", artists=("A",), album="L", date="1997-09-22"), "A/1997 - L/T.mp3"),
        (TrackTags(title="T", artists=("A",), album="L", track_number=3), "A/L/03 - T.mp3"),
        (TrackTags(title="T", artists=("A",), album="L", track_number=103), "A/L/103 - T.mp3"),
        (
            TrackTags(title="T", album="L", track_number=3, disc_number=1, disc_total=2),
            "Unknown Artist/L/1-03 - T.mp3",
        ),
        (TrackTags(title="T", artists=("A",), album="L", track_number=3, disc_number=2), "A/L/2-03 - T.mp3"),
        (TrackTags(title="T", artists=("A",), album="L", track_number=3, disc_number=1), "A/L/03 - T.mp3"),
        (
            TrackTags(title="T", artists=("A",), album="L", album_artists=("Various Artists",)),
            "Various Artists/L/T.mp3",
        ),
        (TrackTags(title="T", artists=("A",), album="L", album_artists=("X", "Y")), "X & Y/L/T.mp3"),
        (TrackTags(title="?", artists=("..",), album="/"), "_/-/_.mp3"),
    ],
)
def test_a_track_has_its_place(tags: TrackTags, expected: str) -> None:
    assert relative_path(tags, "mp3") == PurePosixPath(expected)
    assert relative_path(tags, ".MP3") == PurePosixPath(expected)


def test_short_names_fit_encrypted_folders() -> None:
    tags = TrackTags(title="桜" * 200, artists=("桜" * 200,), album="桜" * 200, track_number=1, date="2001")
    path = relative_path(tags, "opus", limit=143)
    assert all(len(part.encode()) <= 143 for part in (*path.parts, numbered(path.name, 99)))


@pytest.mark.parametrize("extension", ["", ".", "a/b", "mp3/../x", "m p", "toolongforit", "mp3\x00", "é"])
def test_an_extension_is_letters_and_digits(extension: str) -> None:
    with pytest.raises(ValueError, match="extension"):
        relative_path(TrackTags(title="T"), extension)


def test_a_name_has_at_least_one_byte() -> None:
    with pytest.raises(ValueError, match="at least one"):
        safe_part("x", limit=0)
