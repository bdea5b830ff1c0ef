"""``shipgen bundle``: bundles by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle


@click.group("bundle")
def command() -> None:
    """List, show, fetch and verify bundles by name.

    A name is found in the package and in the user's folder, `SHIPGEN_BUNDLES`; every option and argument that
    takes a bundle takes a name. A folder of that name where the command is started comes first.
    """


@command.command("list")
@click.option("--at", "address", metavar="ADDRESS", help="Those that an address lists, not those here.")
@click.option("--json", "as_json", is_flag=True, help="As an address lists them, in its bundles.json.")
def list_bundles(address: str | None, *, as_json: bool) -> None:
    """List bundles by name, with their hashes."""
    from shipgen.bundle.fetch import listing

    if address is not None:
        known = listing(address)
        text = {"bundles": {name: {"sha256": digest} for name, digest in known.items()}}
        for line in [json.dumps(text, indent=2)] if as_json else [f"{n:20} {d}" for n, d in known.items()]:
            click.echo(line)
        return
    found = list(_opened())
    if as_json:
        content = {
            name: {"sha256": one.sha256, "label": one.label}
            for name, folder, one in found
            if _where(folder) != "package" and not isinstance(one, str)
        }
        click.echo(json.dumps({"bundles": content}, indent=2))
        return
    for name, folder, one in found:
        if isinstance(one, str):
            click.echo(f"{name:20} {_where(folder):8} cannot be used: {one}")
        else:
            rate, digest = f"{one.rate:.3e} muons/POT", one.sha256[:12]
            click.echo(f"{name:20} {_where(folder):8} {rate}  {digest}  {one.label}")


@command.command("show")
@click.argument("name", required=False, default="default", metavar="[NAME|BUNDLE]")
def show(name: str) -> None:
    """Show a bundle's card: sample, cut, target, figures, and what it must not be used for."""
    from shipgen.bundle.bundle import Bundle
    from shipgen.describe.card import card

    opened = Bundle.open(name)
    for line in card(opened, f"at {opened.path}"):
        click.echo(line if line.isprintable() else ascii(line)[1:-1])


@command.command("fetch")
@click.argument("name")
@click.option("--at", "address", required=True, metavar="ADDRESS", help="https://, root://, or a folder.")
@click.option("--sha256", metavar="HASH", help="The bundle's; as the address lists it if not given.")
@click.option("--force", is_flag=True, help="Replace a bundle of that name.")
def fetch_bundle(name: str, address: str, sha256: str | None, *, force: bool) -> None:
    """Fetch the bundle NAME from an address into the user's folder; what its hash does not fit is refused."""
    from shipgen.bundle.fetch import fetch

    made = fetch(name, address, sha256=sha256, force=force)
    click.echo(f"{made.path}: {made.label}, sha256 {made.sha256}")
    click.echo(f"  `shipgen produce --bundle {name} -n 1e6 -o muons.root` makes muons of it")


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME|BUNDLE]...")
@click.option("--sha256", metavar="HASH", help="Of the one bundle that is given: has to be this.")
def verify(names: tuple[str, ...], sha256: str | None) -> None:
    """Compare all hashes of bundles and try their networks; of all that have a name if none is given."""
    from shipgen.bundle.library import named
    from shipgen.errors import BundleError

    if sha256 is not None and len(names) != 1:
        raise click.UsageError("--sha256 is of one bundle: give its name")
    bad = []
    chosen = list(names) or [name for name, _ in named()]
    for name in chosen:
        opened = _open(name)
        if isinstance(opened, str):
            bad.append(opened)
        elif sha256 is not None and opened.sha256 != sha256.lower():
            bad.append(f"{opened.path} has sha256 {opened.sha256}, not {sha256}")
        else:
            click.echo(f"{name}: as it was written, sha256 {opened.sha256}")
    for line in bad[:-1]:
        click.echo(line, err=True)
    if bad:
        more = f" ({len(bad)} of {len(chosen)} bundles)" if len(chosen) > 1 else ""
        raise BundleError(bad[-1] + more)


def _open(bundle: str | Path) -> Bundle | str:
    """Open a bundle; return what is wrong with it if it cannot be used."""
    from shipgen.bundle.bundle import Bundle
    from shipgen.errors import ShipgenError

    try:
        return Bundle.open(bundle)
    except ShipgenError as error:
        return str(error)


def _opened() -> Iterator[tuple[str, Path, Bundle | str]]:
    from shipgen.bundle.library import named

    for name, folder in named():
        yield name, folder, _open(folder)


def _where(folder: Path) -> str:
    from shipgen.bundle.library import PACKAGE

    return "package" if folder.parent == PACKAGE else "yours"
