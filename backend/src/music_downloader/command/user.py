"""`nas-music user …`: accounts, from the machine itself. Each change is audited."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from music_downloader.auth import account
from music_downloader.command.transaction import in_transaction
from music_downloader.model import User
from music_downloader.schema.user import new_password, registration
from music_downloader.service import people
from music_downloader.service.audit import Action

users = typer.Typer(help="Accounts.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A username or an email address")]
NewPassword = Annotated[
    str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="NAS_MUSIC_PASSWORD")
]


@users.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="3-50 letters, digits, dots, underscores or hyphens")],
    email: Annotated[str, typer.Argument(help="An email address")],
    *,
    admin: Annotated[bool, typer.Option(help="Make an administrator.")] = False,
    password: NewPassword,
) -> None:
    """Make an account; the password is asked for, or taken from NAS_MUSIC_PASSWORD."""
    wanted = registration(username=username, email=email, password=password)

    async def create(session: AsyncSession) -> int:
        user = await account.create(
            session,
            username=wanted.username,
            email=wanted.email,
            password=wanted.password,
            is_admin=admin,
            action=Action.CREATE_USER,
        )
        return user.id

    user_id = in_transaction(create)
    typer.echo(f"Made {'the administrator' if admin else 'the user'} {username} with id {user_id}.")


@users.command("list")
def list_users() -> None:
    """List every account."""

    async def read(session: AsyncSession) -> Sequence[User]:
        return (await session.scalars(select(User).order_by(User.id))).all()

    for user in in_transaction(read):
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
    wanted = new_password(password)

    async def reset(session: AsyncSession) -> str:
        user = await people.find(session, name)
        await account.reset_password(session, user, new=wanted, now=datetime.now(UTC))
        return user.username

    typer.echo(f"{in_transaction(reset)} has a new password, and every session has ended.")


def _change(name: str, *, is_active: bool | None = None, is_admin: bool | None = None) -> str:
    async def change(session: AsyncSession) -> str:
        user = await people.find(session, name)
        changed = await people.change(
            session, user_id=user.id, by=None, is_active=is_active, is_admin=is_admin, now=datetime.now(UTC)
        )
        return changed.username

    return in_transaction(change)
