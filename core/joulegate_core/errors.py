"""Errors that a user can cause. Each says what is wrong and what to do next; the command line prints them as one line."""


class JoulegateError(Exception):
    """Base of all errors that are reported without a traceback."""

    exit_code = 1


class SettingsError(JoulegateError):
    """A setting is unknown or out of range."""

    exit_code = 2


class SchemaMismatchError(JoulegateError):
    """The database's schema is not the one this version works with."""


class DatabaseUnavailableError(JoulegateError):
    """The database cannot be reached, or refuses the connection."""


class PoolerError(JoulegateError):
    """A connection that needs a session of its own leads through a pooler that hands out transactions."""


class BrokerUnavailableError(JoulegateError):
    """The broker cannot be reached, or refuses the connection."""


class SessionTakenOverError(JoulegateError):
    """Another client connected with our client id (MQTT 5, reason code 0x8E)."""


class PortTakenError(JoulegateError):
    """A port that is to be listened on is in use."""
