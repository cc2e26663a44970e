"""What headings say about the video, the upload or the shop, and not about the music."""
# ruff: noqa: RUF001  # the dashes and letters that look alike are what this module is about

import re

# Words of which a bracket like "(Official Music Video)" consists, and those of which it has at least one.
_TELLING = (
    r"official|officiel(?:le)?|oficial|offizielle[sr]?|ufficiale|oficjalny|oficjalne|resmi|официальн\w+|"
    r"video|vídeo|vidéo|wideo|видео|видеоклип|клип|videoclip|musikvideo|musikkvideo|teledysk|klip|clip|clipe|"
    r"audio|аудио|lyrics?|letra|legendado|paroles|songtext|текст|"
    r"hd|hq|uhd|4k|8k|720p|1080p|1440p|2160p|60fps|mv|m/v|pv|visuali[sz]er|visual|"
    r"full song|video song|free (?:download|dl)|out now|premiere|премьера|ncs release|monstercat release"
)
_TELLING_WORD = re.compile(rf"\b(?:{_TELLING})\b", re.IGNORECASE)
_ONLY_NOISE = re.compile(
    rf"(?:(?:{_TELLING}|music|full|with|w/|in|on[ -]screen|only|song|version|quality|high|new|original|movie|"
    r"colou?r coded|remaster(?:ed)?|upgrade|and|the|клипа|песни|\d{4})\b|[\s,|/&+.!\-–])+",
    re.IGNORECASE,
)
_CREDIT = re.compile(
    r"\s*prod(?:\.|uced|\b)\s*(?:by\b)?.*|\s*(?:taken\s+)?from\s+(?:the\s+)?(?:new\s+|debut\s+)?(?:album|ep|lp)\b.*",
    re.IGNORECASE,
)
_BRACKET = re.compile(
    r"\s*(?:\(([^()]*)\)|\[([^\[\]]*)\]|\{([^{}]*)\}|【([^【】]*)】|（([^（）]*)）|［([^［］]*)］)"
)
_PHRASE_AT_END = re.compile(
    r"[\s|/\-–—:,]+(?:"
    r"(?:the\s+)?offici?al\s+(?:(?:music|lyrics?|hd|4k)\s+)*(?:video\s*clip|video|audio|clip|mv|visuali[sz]er)"
    r"|(?:music|lyrics?)\s+video|(?:with|w/)\s+lyrics|m/v|mv|hd|hq|4k|lyrics"
    r"|(?:full\s+)?video\s+song|full\s+song"
    r")(?:\s+(?:hd|hq|4k))*\s*$",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s+\|\s+(?:from\s+(?:the\s+)?)?album\b.*$"  # "| Album: Name"
    r"|\s+(?:prod\.(?:\s+by)?|prod(?:uced)?\s+by)\s+\S.*$"
    r"|(?:\s+#\w+)+$"
    r"|\s+[♪♫♬🎵🎶\ufe0f]+$",
    re.IGNORECASE,
)
_NOTES_BEFORE = re.compile(r"^[♪♫♬🎵🎶\ufe0f]+\s+")


def without_noise(text: str) -> str:
    """Drop brackets like '(Official Video)', '[prod. by X]' and '【MV】', as long as something is left."""

    def kept(match: re.Match[str]) -> str:
        inside = next((group for group in match.groups() if group is not None), "")
        return " " if not inside.strip() or is_noise(inside) or _CREDIT.fullmatch(inside) else match[0]

    left = " ".join(_NOTES_BEFORE.sub("", _BRACKET.sub(kept, text)).split())
    return left or text


def without_end(title: str) -> str:
    """Drop 'Official Video', 'HD', '| Album: X' and the like from the end, as long as something is left."""
    while True:
        head, bar, tail = title.rpartition("|")
        if bar and head.strip() and is_noise(tail):
            shorter = head.rstrip()
        else:
            shorter = _TAIL.sub("", _PHRASE_AT_END.sub("", title))
        if shorter == title or not shorter.strip():
            return title
        title = shorter


def is_noise(text: str) -> bool:
    """Whether `text` consists of words about the video, and isn't only one of those that music uses too."""
    return bool(_ONLY_NOISE.fullmatch(text.strip()) and _TELLING_WORD.search(text))
