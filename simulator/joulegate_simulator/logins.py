"""Who logs in at the broker with which password: a login for each device, from a file."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from joulegate_core.broker import BrokerAddress
from joulegate_core.errors import SettingsError
from joulegate_simulator.device import Device

NAMED_AT_MOST = 3
"""Devices without a login that an error names."""


def device_addresses(address: BrokerAddress, file: Path | None, devices: Iterable[Device]) -> dict[str, BrokerAddress]:
    """For each device's name the broker's address with its login; without a file the login of `address` for all.

    A device logs in with its own name where the file has that, else as its charge point: meter and vehicle of one charge point may
    share a user, as an access list with `fleet/%u/...` wants it.

    Raises:
        SettingsError: the file cannot be read, a line is no login, or a device has none.
    """
    devices = list(devices)
    if file is None:
        return {device.name: address for device in devices}
    passwords = read_logins(file)
    users = {device.name: device.name if device.name in passwords else device.home for device in devices}
    missing = [name for name, user in users.items() if user not in passwords]
    if missing:
        raise SettingsError(
            f"{file} has no login for {len(missing):,} of {len(devices):,} devices, such as "
            f"{', '.join(f'{name} (nor for {users[name]})' for name in missing[:NAMED_AT_MOST])}: "
            "add a line `device:password` or `charge point:password` for each"
        )
    return {
        name: msgspec.structs.replace(address, username=user, password=passwords[user]) for name, user in users.items()
    }


def read_logins(file: Path) -> dict[str, str]:
    """The passwords by user: a line `user:password` each; empty lines and such that begin with `#` are passed over.

    Raises:
        SettingsError: it cannot be read, a line is not of this form, or a user comes twice; it names the line, never a password.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"the logins {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the logins {file} are not UTF-8 text") from None
    passwords: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password = line.partition(":")
        if not (user and colon and password):
            raise SettingsError(f"the logins {file}, line {number}: expected `user:password`")
        if user in passwords:
            raise SettingsError(f"the logins {file}, line {number}: {user} comes twice")
        passwords[user] = password
    return passwords
