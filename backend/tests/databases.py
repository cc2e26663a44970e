"""Databases for tests: cleaned after each test, and made anew only when one has changed their shape.

Making one takes PostgreSQL some 200 ms, half of it in the kernel, and there are more than a thousand tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
from sqlalchemy.engine import make_url

# What the shape of a database is: every change of these rows has another xmin, and every way back too.
_SHAPE = """
    SELECT ARRAY[
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_class),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_attribute),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_attrdef),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_constraint),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_index),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_trigger),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_proc),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_type),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_namespace),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_extension),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_default_acl),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_db_role_setting),
        (SELECT sum(xmin::text::bigint) + count(*) FROM pg_database WHERE datname = current_database())
    ]::text
"""
_TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
_SEQUENCES = """
    SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value),
        last_value IS NOT NULL
    FROM pg_sequences
"""
# Triggers that fire whatever anybody sets: those of the audit log.
_ALWAYS = """
    SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname),
        format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', tgrelid::regclass, tgname)
    FROM pg_trigger WHERE tgenabled = 'A'
"""
_HANG_UP = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Databases:
    """Copies of one migrated database, lent to one test after the other."""

    def __init__(self, server: str, *, template: str) -> None:
        self._server = server
        self._template = template
        self._numbers = count(1)
        self._free: list[tuple[str, str]] = []
        with psycopg.connect(self._address(template)) as connection:
            tables = [name for (name,) in connection.execute(_TABLES)]
            self._sequences = connection.execute(_SEQUENCES).fetchall()
            self._always = connection.execute(_ALWAYS).fetchall()
            self._rows = {name: rows for name in tables if (rows := _copied(connection, name))}
        self._is_touched = " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})"  # noqa: S608 - our own names
            for name in tables
            if name not in self._rows
        )

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend one for as long as a test takes; whoever is still connected then is cut off."""
        name, shape = self._free.pop() if self._free else self._made()
        try:
            yield self._address(name)
            after = self._cleaned(name, shape)
        except BaseException:
            self._drop(name)
            raise
        if after is None:
            self._drop(name)
        else:
            self._free.append((name, after))

    def _address(self, name: str) -> str:
        return make_url(self._server).set(database=name).render_as_string(hide_password=False)

    def _made(self) -> tuple[str, str]:
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        with psycopg.connect(self._address(name)) as connection:
            return name, _shape(connection)

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _cleaned(self, name: str, shape: str) -> str | None:
        """Return the database to what its template holds, and its shape; None where that is another now."""
        with psycopg.connect(self._address(name)) as connection:
            connection.execute(_HANG_UP)
            if _shape(connection) != shape:
                return None
            connection.execute("SET LOCAL session_replication_role = replica")  # no trigger, no foreign key
            touched = [table for (table,) in connection.execute(self._is_touched.encode())]
            for disable, _ in self._always:
                connection.execute(disable.encode())
            for table in (*touched, *self._rows):
                connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608 - our own names
            for table, rows in self._rows.items():
                with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
                    copy.write(rows)
            for _, enable in self._always:
                connection.execute(enable.encode())
            for sequence, value, is_called in self._sequences:
                connection.execute("SELECT setval(%s, %s, %s)", [sequence, value, is_called])
            return _shape(connection)


def _shape(connection: psycopg.Connection) -> str:
    row = connection.execute(_SHAPE).fetchone()
    assert row is not None
    return str(row[0])


def _copied(connection: psycopg.Connection, table: str) -> bytes:
    with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as copy:
        return b"".join(bytes(part) for part in copy)
