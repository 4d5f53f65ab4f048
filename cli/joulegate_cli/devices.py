"""`joulegate devices`: how a device's energies are to be read, and what its hardware can deliver."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import UNSET, UnsetType

from joulegate_cli.csv_file import FieldError, LineError, Row, an_id, read_rows, refuse
from joulegate_core.errors import JoulegateError
from joulegate_core.settings import EnergyKind
from joulegate_core.telemetry import Stream

if TYPE_CHECKING:
    import asyncpg

    from joulegate_db.devices import Declaration, Device

FIELDS = ("deviceId", "kind", "energy", "maxKw")
MAX_KW = 1e6
"""The same limit as that of JOULEGATE_MAX_KW."""


class NotBoundError(JoulegateError):
    """A device that is not bound cannot be unbound."""


Energy = EnergyKind | UnsetType | None
"""None: the stream's setting holds."""
Cap = float | UnsetType | None
ENERGIES: dict[str, Energy] = {"": UNSET, "default": None, "interval": "interval", "register": "register"}

app = typer.Typer(
    help="Devices: interval or register, the most that the hardware can deliver, and where they may report from.",
    no_args_is_help=True,
)


@app.command("list")
def show(*, kind: Annotated[Stream | None, typer.Option(help="Only meters, or only vehicles.")] = None) -> None:
    """Show the devices that were seen or declared, as a table."""
    from joulegate_cli.tables import print_table

    devices = _devices(kind)
    rows = [
        (
            device.kind.value,
            device.device,
            device.energy or "default",
            "default" if device.max_kw is None else f"{device.max_kw:g}",
            device.first_seen.isoformat(timespec="seconds").replace("+00:00", "Z"),
        )
        for device in devices
    ]
    print_table(("kind", "device", "energy", "max kW", "first seen"), rows, f"{len(rows):,} devices")


@app.command("set")
def declare(
    device: Annotated[str | None, typer.Argument(metavar="DEVICE", help="The device's id.")] = None,
    *,
    kind: Annotated[Stream | None, typer.Option(help="A meter and a vehicle may bear the same id.")] = None,
    energy: Annotated[
        str | None,
        typer.Option(metavar="interval|register|default", help="What its kWh are; default: as the stream's setting."),
    ] = None,
    max_kw: Annotated[
        str | None, typer.Option(metavar="KW|default", help="The most that it can deliver; registers only.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help=f"Several: a CSV file with the header {','.join(FIELDS)}.")
    ] = None,
) -> None:
    """Declare a device, or several from a file (an empty cell leaves the value as it is). Its energies are computed anew.

    Answers follow at once; nothing happens when all is as declared already.
    """
    from joulegate_cli.database import with_declarer
    from joulegate_db.devices import declare_devices

    if file is None:
        declarations = [_of_options(device, kind, energy, max_kw)]
    elif device or kind or energy or max_kw:
        raise typer.BadParameter("give a file, or a device with its options, not both")
    else:
        declarations = _of_file(file)
    changed = len(with_declarer(lambda connection: declare_devices(connection, declarations)))
    print(f"{changed:,} devices changed, {len(declarations) - changed:,} as they were")


Kind = Annotated[Stream, typer.Option(help="A meter and a vehicle may bear the same id.")]


@app.command()
def bind(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id.")],
    charge_point: Annotated[str, typer.Argument(metavar="CHARGE_POINT", help="The only place to take it from.")],
    *,
    kind: Kind,
) -> None:
    """Bind a device to a charge point: what it reports from another one is quarantined as wrong_place. Gateways follow within seconds."""
    from joulegate_cli.database import with_declarer
    from joulegate_db import bindings

    try:
        binding = bindings.Binding(kind, an_id(device), an_id(charge_point))
    except FieldError as error:
        raise typer.BadParameter(str(error)) from None
    changed = with_declarer(lambda connection: bindings.bind(connection, [binding]))
    print(f"{changed} bound, {1 - changed} as they were")


@app.command()
def unbind(device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id.")], *, kind: Kind) -> None:
    """Take a device from anywhere again."""
    from joulegate_cli.database import with_declarer
    from joulegate_db import bindings

    charge_point = with_declarer(lambda connection: bindings.unbind(connection, kind, device))
    if charge_point is None:
        raise NotBoundError(f"the {kind} {device} is not bound")
    print(f"the {kind} {device} is not bound to {charge_point} any more")


@app.command("bindings")
def show_bindings(
    *, kind: Annotated[Stream | None, typer.Option(help="Only meters, or only vehicles.")] = None
) -> None:
    """Show which devices are bound to a charge point."""
    from joulegate_cli.database import with_declarer
    from joulegate_cli.tables import print_table
    from joulegate_db.bindings import list_bindings

    bindings = with_declarer(lambda connection: list_bindings(connection, kind))
    rows = [(one.kind.value, one.device, one.charge_point) for one in bindings]
    print_table(("kind", "device", "charge point"), rows, f"{len(rows):,} bindings")


def _of_options(device: str | None, kind: Stream | None, energy: str | None, max_kw: str | None) -> "Declaration":
    from joulegate_db.devices import Declaration

    if device is None or kind is None or (energy is None and max_kw is None):
        raise typer.BadParameter("give DEVICE, --kind and what is to be set: --energy, --max-kw or both; or --file")
    try:
        return Declaration(kind, an_id(device), _energy(energy or ""), _cap(max_kw or ""))
    except FieldError as error:
        raise typer.BadParameter(str(error)) from None


def _of_file(path: Path) -> "list[Declaration]":
    errors: list[LineError] = []
    seen: dict[tuple[Stream, str], int] = {}
    declarations = []
    for row in read_rows(path, FIELDS, errors):
        declaration = _of_row(row)
        if declaration is None:
            continue
        first = seen.setdefault(declaration.key, row.line)
        if first != row.line:
            row.error("deviceId", f"this {declaration.kind} is declared in line {first} already")
        declarations.append(declaration)
    if errors:
        refuse(path, errors)
    return declarations


def _of_row(row: Row) -> "Declaration | None":
    from joulegate_db.devices import Declaration

    before = row.errors
    kind, device = row.read("kind", _kind), row.read("deviceId", an_id)
    energy, max_kw = row.read("energy", _energy), row.read("maxKw", _cap)
    if kind is None or device is None or row.errors > before:
        return None
    return Declaration(kind, device, energy, max_kw)


def _kind(text: str) -> Stream:
    if text not in list(Stream):
        raise FieldError("it must be meter or vehicle")
    return Stream(text)


def _energy(text: str) -> Energy:
    """Empty leaves it as it is."""
    if text not in ENERGIES:
        raise FieldError("energy must be interval, register or default")
    return ENERGIES[text]


def _cap(text: str) -> Cap:
    """Empty leaves it as it is."""
    if text in ("", "default"):
        return None if text else UNSET
    try:
        cap = float(text)
    except ValueError:
        cap = 0.0
    if not 0 < cap <= MAX_KW:
        raise FieldError(f"the most kW must be more than 0 and at most {MAX_KW:,.0f}, or default")
    return cap


def _devices(kind: Stream | None) -> "list[Device]":
    from joulegate_cli.database import with_declarer
    from joulegate_db.devices import list_devices

    async def devices(connection: "asyncpg.Connection") -> "list[Device]":
        return [device async for device in list_devices(connection, kind)]

    return with_declarer(devices)
