"""A finding: what was looked at, how bad it is, and what to do."""

from enum import IntEnum

import msgspec


class Severity(IntEnum):
    """From WARNING on something is to be done, and the exit code says so."""

    OK = 0
    NOTE = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """As printed."""
        return self.name.lower()


class Finding(msgspec.Struct, frozen=True):
    """One line of the answer. `action` is empty when there is nothing to do."""

    check: str
    severity: Severity
    text: str
    action: str = ""

    @property
    def needs_action(self) -> bool:
        """Whether a monitor is to wake somebody."""
        return self.severity >= Severity.WARNING


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Severity.OK, text)


def note(check: str, text: str, action: str = "") -> Finding:
    """Worth knowing; no reason to act."""
    return Finding(check, Severity.NOTE, text, action)


def warning(check: str, text: str, action: str) -> Finding:
    """To be done in the coming days."""
    return Finding(check, Severity.WARNING, text, action)


def critical(check: str, text: str, action: str) -> Finding:
    """Readings are lost, or soon will be."""
    return Finding(check, Severity.CRITICAL, text, action)


def worst(findings: list[Finding]) -> list[Finding]:
    """The worst first, else in the order given."""
    return sorted(findings, key=lambda finding: -finding.severity)
