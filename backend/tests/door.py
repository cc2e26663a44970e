"""What stands between a service and its database, and can be shut."""

import asyncio
import socket
from contextlib import suppress

from sqlalchemy.engine import make_url


class Door:
    """Stands between a service and its database: open, closed, or one behind which nobody answers."""

    def __init__(self, url: str) -> None:
        target = make_url(url)
        self._target = (target.host, target.port)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = target.set(host="127.0.0.1", port=self.port).render_as_string(hide_password=False)

    async def open(self) -> None:
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._through, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Refuse new connections and cut the others off."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def fall_silent(self) -> None:
        """Take new connections and keep the others, and pass nothing on."""
        self._flows.clear()

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._connections.add(writer)
        try:
            await self._flows.wait()
            theirs, ours = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(self._pass_on(reader, ours), self._pass_on(theirs, writer))
            finally:
                ours.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flows.wait()
            writer.write(data)
        with suppress(OSError):
            writer.write_eof()
