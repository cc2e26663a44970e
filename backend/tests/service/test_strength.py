"""Passwords that are too easy to guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_downloader.auth.strength import MOST_COMMON, common_passwords, weakness

ALICE = {"username": "alice.cooper", "email": "rabbit@example.org"}


@pytest.mark.parametrize(
    "password", ["password", "PassWord1", "12345678", "qwertyuiop", "iloveyou1", "passw0rd"]
)
def test_the_most_common_passwords_are_refused_whatever_their_case(password: str) -> None:
    assert "10,000 most common" in (weakness(password) or "")


def test_the_list_is_as_long_as_the_sentence_says() -> None:
    assert 0.99 * MOST_COMMON < len(common_passwords()) <= MOST_COMMON


@pytest.mark.parametrize(
    "password",
    ["alice.cooper", "Alice.Cooper", "alice.cooper1", "!alice.cooper!", "2026alice.cooper", "repooc.ecila",
     "rabbit@example.org", "RABBIT@example.org1", "rabbit12", "tibbar99"],
)  # fmt: skip
def test_a_password_made_of_who_one_is_is_refused(password: str) -> None:
    assert "username or the email" in (weakness(password, **ALICE) or "")


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "alice.cooper and the rabbit", "another horse entirely", "aaaaaaaa-bbbbbbbb",
     "\N{SNOWMAN}" * 8, "1234567890123456789012345"],
)  # fmt: skip
def test_any_other_password_may_be_used(password: str) -> None:
    assert weakness(password, **ALICE) is None


@given(st.text(max_size=128), st.text(max_size=50), st.text(max_size=254))
def test_every_text_is_judged_in_words_that_do_not_repeat_it(
    password: str, username: str, email: str
) -> None:
    sentence = weakness(password, username=username, email=email)
    assert sentence is None or (sentence.endswith(".") and len(sentence) < 120)
