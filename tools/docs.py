"""Build the documentation as a site, out of the pages that are read in the repository as well.

The generator builds one folder of pages, and ours lie in two places; so they are laid out in a folder of its
own, as they lie here. The README becomes the first page, a folder's README its index. A link to a file that
is no page, such as the compose file, gets a copy of it. Warnings, dead links and dead anchors fail.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "site"
PAGES = ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md")
_ELSEWHERE = re.compile(r"\]\((https?://[^)\s]+)\)")
_SHOWN = {".png", ".json"}
_FENCES = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
_LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")


def main(site: Path = SITE) -> int:
    """Build into a folder; the exit code says whether all is well."""
    zensical = Path(sys.executable).parent / "zensical"
    with tempfile.TemporaryDirectory(prefix="nas-music-docs-") as folder:
        work = Path(folder)
        lay_out(work / "pages")
        shutil.copy(ROOT / "docs" / "site.toml", work / "zensical.toml")
        built = subprocess.run([zensical, "build", "--strict"], cwd=work, check=False)
        if built.returncode != 0:
            return built.returncode
        if foreign := loaded_from_elsewhere(work / "built"):
            print(f"The site would load what isn't its own: {', '.join(sorted(foreign))}", file=sys.stderr)
            return 1
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(work / "built", site)
    print(f"The site is in {site}; open {site / 'index.html'}.")
    return 0


def external() -> list[str]:
    """Return the addresses elsewhere that the pages link to, for a person to try."""
    texts = (path.read_text(encoding="utf-8") for pattern in PAGES for path in ROOT.glob(pattern))
    return sorted({address for text in texts for address in _ELSEWHERE.findall(_FENCES.sub("", text))})


def lay_out(pages: Path) -> None:
    """Write every page where the generator looks for it, and copy what they link to."""
    for source in sorted({path for pattern in PAGES for path in ROOT.glob(pattern)}):
        target = pages / _place(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = _FENCES.split(source.read_text(encoding="utf-8"))
        parts[::2] = [_LINK.sub(partial(_link, source=source, pages=pages), part) for part in parts[::2]]
        target.write_text("".join(parts), encoding="utf-8")


def loaded_from_elsewhere(built: Path) -> set[str]:
    """Return the addresses that the site's pages would load something from by themselves."""
    found = set()
    for page in built.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page.read_text(encoding="utf-8")):
            if 'rel="canonical"' not in tag and (match := _LOADED.match(tag)):
                found.add(match[1])
    return found


def _place(source: Path) -> Path:
    relative = source.relative_to(ROOT)
    return relative.with_name("index.md") if relative.name == "README.md" else relative


def _link(match: re.Match[str], *, source: Path, pages: Path) -> str:
    """Return the link as it is among the site's pages; one to a folder without an index is only its words."""
    words, target, anchor = match[1], (source.parent / match[2]).resolve(), match[3] or ""
    if target.is_dir():
        target /= "README.md"
        if not target.exists():
            return words
    place = _place(target)
    if target.suffix != ".md":
        # The generator passes over names that begin with a dot, and whoever follows the link wants the text.
        place = place if target.suffix in _SHOWN else Path("files") / f"{target.name.lstrip('.')}.txt"
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target, pages / place)
    up = "../" * len(_place(source).parent.parts)
    return f"[{words}]({up}{place.as_posix()}{anchor})"


if __name__ == "__main__":
    if sys.argv[1:] == ["--links"]:
        print("\n".join(external()))
        sys.exit(0)
    sys.exit(main())
