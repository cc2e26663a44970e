"""Run the egress proxy with a resolver that answers from its first argument; see `canary.lying`."""

import json
import socket
import sys
from typing import Any

from music_downloader.egress import proxy

answers: dict[str, list[list[str]]] = json.loads(sys.argv[1])


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Give the next answer for `host`, the last one for ever."""
    if host not in answers:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
    return [
        (socket.AF_INET6, (address, port, 0, 0)) if ":" in address else (socket.AF_INET, (address, port))
        for address in found
    ]


if __name__ == "__main__":
    proxy.run(int(sys.argv[2]), int(sys.argv[3]), resolve)
