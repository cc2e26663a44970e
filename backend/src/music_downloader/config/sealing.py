"""Sealing what is kept in the database, which alone tells nothing then: AES-256-GCM (NIST SP 800-38D)."""

import secrets
from typing import Final

from Cryptodome.Cipher import AES
from Cryptodome.Hash import SHA256
from Cryptodome.Protocol.KDF import HKDF

from music_downloader.errors import UnreadableError

_FORM: Final = b"\x01"  # the first byte says how the rest is made
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32


def seal(content: bytes, *, key: str, purpose: str, bound_to: str) -> bytes:
    """Return the content encrypted; it opens only with the same key, purpose and `bound_to`.

    `key` is the one that signs tokens; what encrypts is derived from it for this purpose (HKDF, RFC 5869).
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    cipher = AES.new(_derived(key, purpose), AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
    cipher.update(bound_to.encode())
    encrypted, tag = cipher.encrypt_and_digest(content)
    return b"".join((_FORM, nonce, tag, encrypted))


def unseal(sealed: bytes, *, key: str, purpose: str, bound_to: str) -> bytes:
    """Return what `seal` was given; UnreadableError where anything differs."""
    form, rest = sealed[:1], sealed[1:]
    nonce, tag = rest[:_NONCE_BYTES], rest[_NONCE_BYTES : _NONCE_BYTES + _TAG_BYTES]
    if form != _FORM or len(tag) != _TAG_BYTES:
        raise UnreadableError
    cipher = AES.new(_derived(key, purpose), AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
    cipher.update(bound_to.encode())
    try:
        return cipher.decrypt_and_verify(rest[_NONCE_BYTES + _TAG_BYTES :], tag)
    except ValueError as error:
        raise UnreadableError from error


def _derived(key: str, purpose: str) -> bytes:
    derived = HKDF(key.encode(), _KEY_BYTES, b"", SHA256, context=purpose.encode())
    assert isinstance(derived, bytes)  # noqa: S101 - several only where several are asked for
    return derived
