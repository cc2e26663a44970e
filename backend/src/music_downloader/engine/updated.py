"""The fork server with a yt-dlp that was installed later than the service.

Run as `python -I -m music_downloader.engine.updated FD TREE [CONFINEMENT]`. Of the tree, yt-dlp's two
packages are imported and nothing else; they come before the built-in ones. CONFINEMENT is a JSON object,
`directory` and `port`: the server is held by the kernel then before it imports anything, as a fetch is.
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from music_downloader.engine import containment, sandbox
from music_downloader.engine.release.tree import PACKAGES


class _FromTree:
    """Finds yt-dlp's packages in one folder; their modules are found through them."""

    def __init__(self, tree: str) -> None:
        self._tree = [tree]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a package of the tree; None for anything else."""
        del path, target
        return PathFinder.find_spec(name, self._tree) if name in PACKAGES else None


def main() -> None:
    """Serve as the template does, with the tree that the second argument names."""
    sys.dont_write_bytecode = True  # -I doesn't heed the environment, and the tree stays as it was sealed
    tree = sys.argv[2]
    sys.path.append(tree)  # last, so it shadows nothing; what may be read is made of it
    sys.meta_path.insert(0, _FromTree(tree))
    if len(sys.argv) > 3:  # noqa: PLR2004 - the confinement is the third
        held = json.loads(sys.argv[3])
        containment.give_up_privileges()
        sandbox.confine_server(home=os.environ["HOME"], directory=held["directory"], port=held["port"])
    from music_downloader.engine import template  # noqa: PLC0415 - it imports yt-dlp

    template.main()


if __name__ == "__main__":
    main()
