"""`clearair models`."""

from __future__ import annotations

import click


@click.group()
def models() -> None:
    """The models that can be used."""


@models.command("list")
def list_models() -> None:
    """List every published model: name, size on disk, description, folder."""
    from clearair.models.catalogue import CATALOGUE

    for entry in CATALOGUE.values():
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "not there"
        click.echo(f"{entry.name:<10} {size:>9}  {entry.description}\n{'':<10} {entry.folder}")
