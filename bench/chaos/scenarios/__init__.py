"""The faults, by what they strike. Importing a module registers its scenarios."""

import importlib

MODULES = ("gateway", "database", "broker", "network", "sharing", "memory", "mixed")


def load_all() -> None:
    """Registers every scenario."""
    for name in MODULES:
        importlib.import_module(f"chaos.scenarios.{name}")
