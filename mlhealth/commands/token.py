"""`mlhealth token`: make, list and end access tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.store.tokens import Token, Tokens

group = typer.Typer(name="token", help="Access tokens of the API and the pages.", no_args_is_help=True)
Config = Annotated[Path, typer.Option("-c", "--config", help="The service's configuration.")]
_DEFAULT = Path("mlhealth.yaml")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, ingest, operate, admin (repeat); all without.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it opens anything, such as 90d; for ever without.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--models", help="Prefix of the models it is for (repeat); all without."),
    ] = None,
    config: Config = _DEFAULT,
) -> None:
    """Make a token and print it, this once."""
    from mlhealth.clock import SystemClock, parse_duration
    from mlhealth.store.tokens import Scope, TokenRequest, parse_scopes

    scopes = parse_scopes(scope or [str(known) for known in Scope])
    lifetime = None if expires is None else parse_duration(expires)
    _, text = _tokens(config).create(
        TokenRequest(name, scopes, lifetime, tuple(models or ())), SystemClock().now()
    )
    print(text)


@group.command("list")
def list_command(config: Config = _DEFAULT) -> None:
    """List every token ever made; their texts are not kept."""
    from rich.console import Console
    from rich.table import Table

    from mlhealth.clock import SystemClock
    from mlhealth.dashboards.wording import moment

    now = SystemClock().now()
    table = Table("id", "name", "scopes", "models", "created", "state")
    for token in _tokens(config).list():
        table.add_row(
            token.id,
            token.name,
            " ".join(sorted(token.scopes)),
            " ".join(f"{prefix}*" for prefix in token.models) or "all",
            moment(token.created),
            _state(token, now),
        )
    Console().print(table)


@group.command("rotate")
def rotate(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    grace: Annotated[str, typer.Option(help="For how long the old one is good beside the new one.")] = "24h",
    config: Config = _DEFAULT,
) -> None:
    """Make a token that takes another's place, and print it, this once; the old one ends after the grace."""
    from mlhealth.clock import SystemClock, parse_duration

    _, text = _tokens(config).rotate(identity, parse_duration(grace), SystemClock().now())
    print(text)


@group.command("revoke")
def revoke(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    config: Config = _DEFAULT,
) -> None:
    """End a token at once; sessions opened with it end too."""
    from mlhealth.clock import SystemClock

    _tokens(config).revoke(identity, SystemClock().now())
    print(f"token {identity} opens nothing any more")


def _tokens(config: Path) -> Tokens:
    from mlhealth.config.service import load
    from mlhealth.store.database import Database
    from mlhealth.store.schema import ensure
    from mlhealth.store.tokens import Tokens

    database = Database.open(load(config).store)
    ensure(database)
    return Tokens(database)


def _state(token: Token, now: int) -> str:
    from mlhealth.dashboards.wording import moment

    if token.revoked is not None:
        return f"revoked {moment(token.revoked)}"
    if token.expires is None:
        return "live"
    return f"live until {moment(token.expires)}" if token.live(now) else f"ended {moment(token.expires)}"
