# ruff: noqa: RUF001  # the letters that look alike are what is tested
"""Headings as people write them, from many languages and sites, and what becomes of each."""

import time

import pytest

from music_downloader.library.facts import SourceFacts
from music_downloader.library.names import UNKNOWN_ARTIST
from music_downloader.library.rules import describe
from music_downloader.library.titles import read_bare_title

# a page's heading, its channel, and what becomes of them
HEADINGS = [
    ("Artist - Title (Official Visualizer) [4K]", None, ("Artist",), "Title"),
    ("Artist - Title (Prod. Somebody)", None, ("Artist",), "Title"),
    ("Artist - Title [prod. by Somebody]", None, ("Artist",), "Title"),
    ("Artist - Title (prod by x)", None, ("Artist",), "Title"),
    ("Artist - Title prod. Somebody", None, ("Artist",), "Title"),
    (
        "Billie Eilish - Ocean Eyes (Astronomyy Remix)",
        None,
        ("Billie Eilish",),
        "Ocean Eyes (Astronomyy Remix)",
    ),
    ("Radiohead - Creep | Album: Pablo Honey", None, ("Radiohead",), "Creep"),
    ("Radiohead - Creep | Pablo Honey", None, ("Radiohead",), "Creep | Pablo Honey"),
    ("IU(아이유) _ Palette(팔레트) (Feat. G-DRAGON) MV", None, ("IU(아이유)", "G-DRAGON"), "Palette(팔레트)"),
    (
        "[MV] IU(아이유) _ Palette(팔레트) (Feat. G-DRAGON)",
        None,
        ("IU(아이유)", "G-DRAGON"),
        "Palette(팔레트)",
    ),
    ("BTS (방탄소년단) 'Dynamite' Official MV", "HYBE LABELS", ("BTS (방탄소년단)",), "Dynamite"),
    ("PSY - GANGNAM STYLE(강남스타일) M/V", "officialpsy", ("PSY",), "GANGNAM STYLE(강남스타일)"),
    ("米津玄師 - Lemon", "Kenshi Yonezu  米津玄師", ("米津玄師",), "Lemon"),
    ("米津玄師 MV「Lemon」", None, ("米津玄師",), "Lemon"),
    (
        "Official髭男dism - Pretender［Official Video］",
        "Official髭男dism",
        ("Official髭男dism",),
        "Pretender",
    ),
    (
        "Official髭男dism「Pretender」【Official Video】",
        "Official髭男dism",
        ("Official髭男dism",),
        "Pretender",
    ),
    ("【Ado】うっせぇわ", "Ado", ("Ado",), "うっせぇわ"),
    (
        "周杰倫 Jay Chou【告白氣球 Love Confession】Official MV",
        "周杰倫 Jay Chou",
        ("周杰倫 Jay Chou",),
        "告白氣球 Love Confession",
    ),
    ("Кино - Группа крови (официальное видео)", None, ("Кино",), "Группа крови"),
    ("Кино — Группа крови (Официальный клип)", None, ("Кино",), "Группа крови"),
    ("Stromae - Papaoutai (Clip Officiel)", "StromaeVEVO", ("Stromae",), "Papaoutai"),
    ("Rosalía - MALAMENTE (Cap.1: Augurio)", None, ("Rosalía",), "MALAMENTE (Cap.1: Augurio)"),
    (
        "Shakira - Waka Waka (This Time for Africa) (The Official 2010 FIFA World Cup™ Song)",
        "shakiraVEVO",
        ("Shakira",),
        "Waka Waka (This Time for Africa) (The Official 2010 FIFA World Cup™ Song)",
    ),
    ("Rammstein - Deutschland (Offizielles Video)", None, ("Rammstein",), "Deutschland"),
    ("Måneskin - ZITTI E BUONI (Video Ufficiale)", None, ("Måneskin",), "ZITTI E BUONI"),
    ("Anitta - Envolver (Clipe Oficial)", None, ("Anitta",), "Envolver"),
    ("Anitta - Envolver (Letra/Lyrics)", None, ("Anitta",), "Envolver"),
    (
        "Tame Impala - The Less I Know The Better (Audio)",
        "tameimpalaVEVO",
        ("Tame Impala",),
        "The Less I Know The Better",
    ),
    (
        "Symphony No. 5 in C minor, Op. 67: I. Allegro con brio",
        "Berliner Philharmoniker - Topic",
        ("Berliner Philharmoniker",),
        "Symphony No. 5 in C minor, Op. 67: I. Allegro con brio",
    ),
    (
        "Beethoven - Symphony No. 5 in C minor, Op. 67: I. Allegro con brio",
        None,
        ("Beethoven",),
        "Symphony No. 5 in C minor, Op. 67: I. Allegro con brio",
    ),
    (
        "Bach: Cello Suite No. 1 in G Major, BWV 1007 - I. Prélude",
        "Yo-Yo Ma - Topic",
        ("Yo-Yo Ma",),
        "Bach: Cello Suite No. 1 in G Major, BWV 1007 - I. Prélude",
    ),
    ("Chopin - Nocturne op.9 No.2", None, ("Chopin",), "Nocturne op.9 No.2"),
    ("Claude Debussy: Clair de lune", "Some Channel", ("Some Channel",), "Claude Debussy: Clair de lune"),
    (
        "Nirvana - Smells Like Teen Spirit - MTV Unplugged",
        None,
        ("Nirvana",),
        "Smells Like Teen Spirit - MTV Unplugged",
    ),
    ("Nirvana - Lithium (Official Music Video) - HD", None, ("Nirvana",), "Lithium"),
    ("Kendrick Lamar, SZA - All The Stars", None, ("Kendrick Lamar, SZA",), "All The Stars"),
    ("Calvin Harris & Dua Lipa - One Kiss (Official Video)", None, ("Calvin Harris & Dua Lipa",), "One Kiss"),
    (
        "Mark Ronson - Uptown Funk (Official Video) ft. Bruno Mars",
        "MarkRonsonVEVO",
        ("Mark Ronson", "Bruno Mars"),
        "Uptown Funk",
    ),
    ("Queen - Radio Ga Ga (Live Aid 1985)", None, ("Queen",), "Radio Ga Ga (Live Aid 1985)"),
    ("Johnny Cash - Hurt (Official Music Video)", "Johnny Cash", ("Johnny Cash",), "Hurt"),
    ("Artist - Title (Out Now!)", None, ("Artist",), "Title"),
    ("Artist - Title [OUT NOW]", None, ("Artist",), "Title"),
    ("Artist - Title [NCS Release]", None, ("Artist",), "Title"),
    ("Artist - Title (Extended Mix)", None, ("Artist",), "Title (Extended Mix)"),
    ("Artist - Title [HQ] [Lyrics] [HD]", None, ("Artist",), "Title"),
    ("Artist – “Title” (Official Audio)", None, ("Artist",), "Title"),
    ("Artist - „Titel“ (Offizielles Musikvideo)", None, ("Artist",), "Titel"),
    ("Artist - «Titre»", None, ("Artist",), "Titre"),
    ("Artist: Title (Official Video)", None, (UNKNOWN_ARTIST,), "Artist: Title"),
    ("Artist // Title", None, (UNKNOWN_ARTIST,), "Artist // Title"),
    ("Artist ~ Title", None, (UNKNOWN_ARTIST,), "Artist ~ Title"),
    ("Artist | Title | Official Video", None, (UNKNOWN_ARTIST,), "Artist | Title"),
    ("Title by Artist", None, (UNKNOWN_ARTIST,), "Title by Artist"),
    ("Coldplay - Yellow (Taylor's Version)", None, ("Coldplay",), "Yellow (Taylor's Version)"),
    (
        "Taylor Swift - Style (Taylor's Version) (Lyric Video)",
        "TaylorSwiftVEVO",
        ("Taylor Swift",),
        "Style (Taylor's Version)",
    ),
    ('"Weird Al" Yankovic - Eat It', "alyankovicVEVO", ('"Weird Al" Yankovic',), "Eat It"),
    (
        'Pink Floyd - "Wish You Were Here" and "Time"',
        None,
        ("Pink Floyd",),
        '"Wish You Were Here" and "Time"',
    ),
    ("Jay-Z - 99 Problems", None, ("Jay-Z",), "99 Problems"),
    ("a-ha - Take On Me (Official Video) [Remastered in 4K]", "a-ha", ("a-ha",), "Take On Me"),
    ("Guns N' Roses - November Rain", "GunsNRosesVEVO", ("Guns N' Roses",), "November Rain"),
    ("P!nk - So What (Official Video)", "PinkVEVO", ("P!nk",), "So What"),
    ("Fela Kuti – Zombie (Full Song)", None, ("Fela Kuti",), "Zombie"),
    ("Nusrat Fateh Ali Khan - Allah Hoo | Full Video Song", None, ("Nusrat Fateh Ali Khan",), "Allah Hoo"),
    ("Arijit Singh - Tum Hi Ho (Full Video Song) HD", None, ("Arijit Singh",), "Tum Hi Ho"),
    ("فيروز - نسم علينا الهوى", None, ("فيروز",), "نسم علينا الهوى"),
    ("Tarkan - Kuzu Kuzu (Resmi Video)", None, ("Tarkan",), "Kuzu Kuzu"),
    (
        "Dawid Podsiadło - Małomiasteczkowy (Oficjalny Teledysk)",
        None,
        ("Dawid Podsiadło",),
        "Małomiasteczkowy",
    ),
    ("ABBA - Dancing Queen (Official Music Video Remastered)", None, ("ABBA",), "Dancing Queen"),
    ("Michael Jackson - Billie Jean (Official Video - 4K)", None, ("Michael Jackson",), "Billie Jean"),
    ("Linkin Park - Numb (Official Music Video) [4K UPGRADE]", None, ("Linkin Park",), "Numb"),
    ("Artist - Title (Video)", None, ("Artist",), "Title"),
    ("Artist - Title (Videoclip)", None, ("Artist",), "Title"),
    ("Artist - Title (Remastered 2011)", None, ("Artist",), "Title (Remastered 2011)"),
    ("Artist - Title (Remastered)", None, ("Artist",), "Title (Remastered)"),
    ("Artist - Title #shorts", None, ("Artist",), "Title"),
    ("Artist - Title (with Other)", None, ("Artist",), "Title (with Other)"),
    ("Artist 'Title' Official MV", None, ("Artist",), "Title"),
    ("BLACKPINK - '뚜두뚜두 (DDU-DU DDU-DU)' M/V", "BLACKPINK", ("BLACKPINK",), "뚜두뚜두 (DDU-DU DDU-DU)"),
    ("ARTIST《Title》【Official MV】", None, ("ARTIST",), "Title"),
    ("宇多田ヒカル『First Love』", "Hikaru Utada", ("宇多田ヒカル",), "First Love"),
    ("Artist - Title ♫ Lyrics", None, ("Artist",), "Title"),
    ("Artist - Title (Lyrics) 🎵", None, ("Artist",), "Title"),
    ("A - B - C", None, ("A",), "B - C"),
    ("Artist: Title", "Artist", ("Artist",), "Title"),
    ("Artist | Title", "Artist", ("Artist",), "Title"),
    ("Other: Title", "Artist", ("Artist",), "Other: Title"),
    ("Somebody 'Quoted' a Word", None, (UNKNOWN_ARTIST,), "Somebody 'Quoted' a Word"),
    ("Artist 'Title'", None, (UNKNOWN_ARTIST,), "Artist 'Title'"),
    ("Artist - Title（Official Video）", None, ("Artist",), "Title"),
    ("Artist - Title（feat. Other）", None, ("Artist", "Other"), "Title"),
    ("Artist - Title (From the Album 'Name')", None, ("Artist",), "Title"),
    ("Artist - From the Album of the Same Name", None, ("Artist",), "From the Album of the Same Name"),
    ("The Prodigy - Breathe (The Prodigy Remix)", None, ("The Prodigy",), "Breathe (The Prodigy Remix)"),
    ("Artist - Paper Clip", None, ("Artist",), "Paper Clip"),
    ("Artist - #1 Crush", None, ("Artist",), "#1 Crush"),
    ("Clip - Title", None, ("Clip",), "Title"),
]


@pytest.mark.parametrize(("heading", "channel", "artists", "title"), HEADINGS)
def test_a_heading_gives_its_artist_and_title(
    heading: str, channel: str | None, artists: tuple[str, ...], title: str
) -> None:
    tags, origins = describe(info=SourceFacts(title=heading, channel=channel), file_tags=None)
    assert (tags.artists, tags.title) == (artists, title)
    assert origins["title"] == ("source" if title == heading else "rule")


def test_a_page_of_no_known_site_is_not_the_artist() -> None:
    info = SourceFacts(title="Title", uploader="www.example.org", webpage_url="https://www.example.org/a/1")
    tags, _ = describe(info=info, file_tags=None)
    assert (tags.artists, tags.title) == ((UNKNOWN_ARTIST,), "Title")


@pytest.mark.parametrize("part", [" _ ", "a: ", " 'a", "【", "《", "♪ ", " #a", " | ", "prod. ", "album "])
def test_no_heading_takes_long_to_read(part: str) -> None:
    start = time.thread_time()
    read_bare_title((part * 500)[:500])
    read_bare_title((part * 500)[:500], known=("x",))
    assert time.thread_time() - start < 0.5
