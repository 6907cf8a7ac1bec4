"""The commands under ``linli pki``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.errors import LinliError

app = typer.Typer(help="Certificates of the site's own authority.", no_args_is_help=True, rich_markup_mode=None)
Folder = Annotated[Path, typer.Option("--dir", help="Where the authority lives.", file_okay=False)]


@app.command()
def ca(folder: Folder, name: Annotated[str, typer.Option(help="What it is called.")] = "Linli site") -> None:
    """Make the site's certificate authority: ca.crt for everybody, ca.key for nobody else."""
    from edge.pki import make_ca

    try:
        typer.echo(f"{make_ca(folder, name)}  (keep {folder / 'ca.key'} off the gateways)")
    except (LinliError, OSError) as fault:
        _end(fault)


@app.command()
def cert(
    name: Annotated[str, typer.Argument(help="Its MQTT user name, e.g. b12-duty.")],
    folder: Folder,
    host: Annotated[list[str], typer.Option(help="A broker's names and addresses; none for a client.")] = [],  # noqa: B006
    days: Annotated[int, typer.Option(min=1, max=3650)] = 825,
) -> None:
    """Make or renew the certificate of a broker, a gateway or a device."""
    from edge.pki import make_certificate

    try:
        typer.echo(str(make_certificate(folder, name, host, days)))
    except (LinliError, OSError, ValueError) as fault:
        _end(fault)


@app.command()
def acl(
    zone: Annotated[str, typer.Argument(help="building, duty, city or home.")],
    gateway: Annotated[list[str], typer.Option(help="Id of a gateway.")] = [],  # noqa: B006
    duty_room: Annotated[str, typer.Option(help="User name of the duty room, or of the city.")] = "",
    device: Annotated[list[str], typer.Option(help="building: USER=TOPIC of a device; home: a share.")] = [],  # noqa: B006
) -> None:
    """Print mosquitto's ACL file of one trust zone."""
    from edge.pki import acl as text_of

    try:
        typer.echo(text_of(zone, gateway, duty_room, device), nl=False)
    except LinliError as fault:
        _end(fault)


def _end(fault: Exception) -> None:
    typer.echo(f"error: {fault}", err=True)
    raise typer.Exit(1)
