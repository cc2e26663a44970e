"""What takes long on large tables: done while the service goes on, unless all is to be one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op

WHOLE = "whole"


@contextmanager
def online() -> Iterator[str]:
    """Let each statement of the block commit by itself, and yield the word that indexes are then built with.

    Within a transaction of the caller's, as in a restore, nobody works meanwhile, and the word is empty.
    """
    context = op.get_context()
    if context.config is not None and context.config.attributes.get(WHOLE):
        yield ""
        return
    with context.autocommit_block():
        yield "CONCURRENTLY"
