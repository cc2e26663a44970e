"""How HTTP is spoken on the wire: the server that `nas-music serve` runs, and what it holds clients to."""
