"""Write the OpenAPI document for the page, and generate the page's client from it.

Run by `make client` after a change of the API. A test holds that the document is this very version's.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import frontend

from music_downloader.app import create_app
from music_downloader.config.settings import Settings

DOCUMENT = frontend.FRONTEND / "openapi.json"


def document() -> dict[str, Any]:
    """Return what the service answers at /openapi.json."""
    described: dict[str, Any] = create_app(Settings(_env_file=None)).openapi()
    return described


def main() -> int:
    """Write both; 1 without a Node."""
    DOCUMENT.write_text(json.dumps(document(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    path = frontend.find_node(Path(sys.prefix))
    if path is None:
        print("client: there is no Node 20.19 or later here.", file=sys.stderr)
        return 1
    return subprocess.run(
        ["npm", "run", "--silent", "client"], check=False, cwd=frontend.FRONTEND, env={"PATH": path}
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
