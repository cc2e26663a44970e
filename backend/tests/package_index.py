"""A package index on the loopback, with real wheels made of the yt-dlp that is installed here."""

import hashlib
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yt_dlp
import yt_dlp_ejs


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Index:
    """A simple index (PEP 503) in a folder, with real wheels made of the installed yt-dlp."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._add("yt_dlp_ejs", Path(yt_dlp_ejs.__file__).parent, "0.8.0", {}, "")

    def wheels(self) -> list[Path]:
        """List the files of all that is offered."""
        return sorted(self._root.rglob("*.whl"))

    def offer(self, version: str, *, lie: str | None = None, helped: bool = True, **changed: str) -> str:
        """Offer a yt-dlp, which asks for yt-dlp-ejs unless not `helped`. Returns its hash.

        `changed` are its modules' new contents, `lie` is another hash to tell of.
        """
        said = f"__version__ = {version!r}\nVARIANT = CHANNEL = ORIGIN = UPDATE_HINT = 'pip'\n"
        said += f"RELEASE_GIT_HEAD = ''\n_pkg_version = {version!r}\n"
        pinned = "Provides-Extra: default\nRequires-Dist: yt-dlp-ejs==0.8.0; extra == 'default'\n"
        more = pinned if helped else ""
        modules = {"version.py": said, **{f"{name}.py": text for name, text in changed.items()}}
        return self._add("yt_dlp", Path(yt_dlp.__file__).parent, version, modules, more, lie)

    def _add(
        self, name: str, tree: Path, version: str, modules: dict[str, str], more: str, lie: str | None = None
    ) -> str:
        project = name.replace("_", "-")
        folder = self._root / project
        folder.mkdir(parents=True, exist_ok=True)
        wheel = folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path in sorted(tree.rglob("*")):
                inside = path.relative_to(tree).as_posix()
                if path.is_file() and path.suffix != ".pyc" and inside not in modules:
                    archive.write(path, f"{name}/{inside}")
            for inside, text in modules.items():
                archive.writestr(f"{name}/{inside}", text)
            archive.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n{more}"
            )
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        with (folder / "index.html").open("a") as page:
            page.write(f'<a href="{wheel.name}#sha256={lie or digest}">{wheel.name}</a>\n')
        return f"sha256:{digest}"


@contextmanager
def serving(root: Path) -> Iterator[tuple[Index, Mapping[str, str]]]:
    """Serve an index in that folder; yield it, and the settings with which pip asks it and nobody else."""
    root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        yield Index(root), {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": address}
        server.shutdown()
        thread.join()
