"""`nas-music user …`: accounts, from the machine itself. Each change is audited."""

from datetime import UTC
from typing import Annotated

import typer

users = typer.Typer(help="Accounts.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A username or an email address")]
NewPassword = Annotated[
    str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="NAS_MUSIC_PASSWORD")
]


@users.command("create")
def create_user(
    username: Annotated[
        str | None, typer.Argument(help="3-50 letters, digits, dots, underscores or hyphens")
    ] = None,
    email: Annotated[str | None, typer.Argument(help="An email address")] = None,
    *,
    admin: Annotated[bool, typer.Option(help="Make an administrator.")] = False,
    password: Annotated[str | None, typer.Option(envvar="NAS_MUSIC_PASSWORD")] = None,
) -> None:
    """Make an account; what is left out is asked for, the password where NAS_MUSIC_PASSWORD isn't set."""
    from music_downloader.command import accounts

    username = username or typer.prompt("Username")
    email = email or typer.prompt("Email")
    password = password or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    user_id = accounts.create(username=username, email=email, password=password, is_admin=admin)
    typer.echo(f"Made {'the administrator' if admin else 'the user'} {username} with id {user_id}.")


@users.command("list")
def list_users() -> None:
    """List every account."""
    from music_downloader.command import accounts

    for user in accounts.everybody():
        role = "administrator" if user.is_admin else "user"
        state = "active" if user.is_active else "deactivated"
        seen = f"{user.last_login.astimezone(UTC):%Y-%m-%d %H:%M}" if user.last_login else "never"
        typer.echo(f"{user.id:>6}  {user.username:<24} {role:<14} {state:<12} {seen:<17} {user.email}")


@users.command("promote")
def promote(name: Name) -> None:
    """Make somebody an administrator."""
    typer.echo(f"{_change(name, is_admin=True)} is an administrator.")


@users.command("demote")
def demote(name: Name) -> None:
    """Make an administrator a user like any other; the last active one stays."""
    typer.echo(f"{_change(name, is_admin=False)} is no administrator.")


@users.command("activate")
def activate(name: Name) -> None:
    """Let somebody in again."""
    typer.echo(f"{_change(name, is_active=True)} may log in.")


@users.command("deactivate")
def deactivate(name: Name) -> None:
    """Keep somebody out, and end every session at once; the last active administrator stays."""
    typer.echo(f"{_change(name, is_active=False)} may not log in any more, and every session has ended.")


@users.command("reset-password")
def reset_password(name: Name, *, password: NewPassword) -> None:
    """Set a new password and end every session; it is asked for, or taken from NAS_MUSIC_PASSWORD."""
    from music_downloader.command import accounts

    typer.echo(f"{accounts.reset_password(name, password)} has a new password, and every session has ended.")


def _change(name: str, *, is_active: bool | None = None, is_admin: bool | None = None) -> str:
    from music_downloader.command import accounts

    return accounts.change(name, is_active=is_active, is_admin=is_admin)
