"""Which passwords are too easy to guess: the most common ones, and those made of who one is."""

from functools import cache

MOST_COMMON = 10_000
_TOLD_BY_HEART = "This is one of the 10,000 most common passwords; choose another one."
_WHO_ONE_IS = "This password is too close to the username or the email address; choose another one."
_AROUND = "0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


@cache
def common_passwords() -> frozenset[str]:
    """Return the most common passwords in lower case, as zxcvbn's list of leaked ones ranks them.

    The list is loaded when it is first asked for: a service rarely sees a new password.
    """
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 - 12 MB that a worker never needs

    return frozenset(FREQUENCY_LISTS["passwords"][:MOST_COMMON])


def weakness(password: str, *, username: str = "", email: str = "") -> str | None:
    """Return the sentence that says why a password is refused; None for one that may be used.

    Case makes no difference, and neither do digits and signs put around a name.
    """
    folded = password.casefold()
    if folded in common_passwords():
        return _TOLD_BY_HEART
    names = {name for given in (username, email, email.partition("@")[0]) for name in _shapes(given)}
    if names & set(_shapes(password)):
        return _WHO_ONE_IS
    return None


def _shapes(text: str) -> list[str]:
    """Return a text as it is compared: folded, bare of what stands around it, and backwards."""
    folded = text.casefold()
    bare = folded.strip(_AROUND)
    return [shape for shape in (folded, bare, bare[::-1]) if shape]
