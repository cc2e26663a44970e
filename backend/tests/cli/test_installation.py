"""Commands in the folder of `make run`: they find its database, whether it is running or not."""

from pathlib import Path

import pytest
from tests.cli.running import Started, nas_music

PASSWORD = "correct horse battery"


@pytest.mark.timeout(240)  # it starts several programs, one after the other
def test_commands_work_on_the_database_that_make_run_keeps(tmp_path: Path) -> None:
    with Started(tmp_path, "serve", "--standalone", MIN_FREE_SPACE="0") as service:
        service.wait_until_healthy()
        made = nas_music(
            *("user", "create", "root", "root@example.org", "--admin"),
            folder=tmp_path,
            cold=True,
            NAS_MUSIC_PASSWORD=PASSWORD,
        )
        assert (made.returncode, made.stderr) == (0, "")
        assert service.interrupt(within=20) == 0
    listed = nas_music("user", "list", folder=tmp_path)
    assert [line.split()[1] for line in listed.stdout.splitlines()] == ["root"]
    # Named by hand, another database is another database.
    away = nas_music("user", "list", folder=tmp_path, DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert away.returncode == 2
