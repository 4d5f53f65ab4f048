"""Judges the server: version, settings, clock, vacuum, disk, partitions."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from joulegate_cli.doctor.finding import Finding, critical, note, ok, warning
from joulegate_db.checkup import Bloated, Days, Login, Server
from joulegate_db.migrate import MINIMUM_SERVER_VERSION

CLOCK_SECONDS = 2.0
CLOCK_BAD_SECONDS = 30.0
TRANSACTION_HOURS = 1.0
CONNECTIONS_SHARE = 0.9
AGE_WARNING = 500_000_000
AGE_CRITICAL = 1_500_000_000
"""PostgreSQL stops at 2,000,000,000 transactions without a freeze; autovacuum forces one at 200,000,000."""

DISK_DAYS_WARNING = 14
DISK_DAYS_CRITICAL = 3
GROWTH_FROM_BYTES = 10_000_000
"""A day with less says nothing about the next ones: a fleet that began yesterday."""


def judge_server(server: Server) -> Iterator[Finding]:
    """Version, settings, connections, vacuum."""
    if server.major < MINIMUM_SERVER_VERSION:
        yield critical("database", f"PostgreSQL {server.version}", f"upgrade to {MINIMUM_SERVER_VERSION} or newer")
    elif server.standby:
        yield critical(
            "database", "this is a standby: it takes no readings", "point JOULEGATE_DATABASE_URL at the primary"
        )
    else:
        yield ok("database", f"PostgreSQL {server.version}, {size(server.octets)}")
    if server.off:
        text = f"{', '.join(server.off)}: a crash can lose readings, or tables grow without bound"
        yield critical("settings", text, "set them on in postgresql.conf, and restart PostgreSQL")
    else:
        yield ok("settings", "fsync, full_page_writes, autovacuum and track_counts are on")
    if server.connections >= CONNECTIONS_SHARE * server.max_connections:
        text = f"{server.connections} of {server.max_connections} connections are taken"
        yield warning("connections", text, "raise max_connections, or look in pg_stat_activity for who takes them")
    if (server.oldest_transaction or 0) > TRANSACTION_HOURS * 3600:
        text = f"a transaction has been open for {hours(server.oldest_transaction or 0)}: no table can be vacuumed meanwhile"
        yield warning("vacuum", text, "end it: select pid, query from pg_stat_activity order by xact_start limit 1")
    if server.transaction_age > AGE_WARNING:
        judge = critical if server.transaction_age > AGE_CRITICAL else warning
        text = f"the oldest unfrozen transaction is {server.transaction_age:,} back; at 2,000,000,000 PostgreSQL stops"
        yield judge("vacuum", text, "find what keeps autovacuum from freezing, then run `vacuum freeze`")


def judge_clock(database: datetime, here: datetime, round_trip: float) -> Finding:
    """The database's clock beside this machine's; the question took `round_trip` seconds."""
    skew = (database - here).total_seconds()
    if abs(skew) <= CLOCK_SECONDS + round_trip:
        return ok("clock", f"database and this machine differ by less than {CLOCK_SECONDS + round_trip:.1f} s")
    text = f"the database's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    judge = critical if abs(skew) > CLOCK_BAD_SECONDS else warning
    return judge("clock", text, "run NTP on both: lateness and the clock window are judged by the gateway's clock")


def judge_bloat(tables: list[Bloated]) -> Finding:
    """Dead rows, by the statistics."""
    if not tables:
        return ok("bloat", "no large table has many dead rows")
    worst = tables[0]
    names = ", ".join(table.name for table in tables)
    text = f"{names}: up to {worst.dead:,} dead rows beside {worst.live:,} live ones ({size(worst.octets)})"
    return warning(
        "bloat", text, f"`vacuum {worst.name}`; then see why autovacuum does not come by (a long transaction?)"
    )


def judge_logins(logins: list[Login]) -> Finding:
    """Whether the running services have more rights than they need."""
    strong = [one for one in logins if one.is_superuser or one.is_owner]
    if strong:
        named = ", ".join(
            f"{one.service} as {one.login} ({'a superuser' if one.is_superuser else 'the owner of the tables'})"
            for one in strong
        )
        text = f"{named}: whoever takes over the service can drop what is stored"
        return note("logins", text, "docs/roles.md: give each service a login that may do its part only")
    if not logins:
        return ok("logins", "no service is connected")
    return ok("logins", ", ".join(f"{one.service} as {one.login}" for one in logins))


def judge_days(days: Days, now: datetime, max_age_days: int) -> Finding:
    """Partitions for every day that can be accepted, and for tomorrow."""
    today = now.date()
    there = set(days.days)
    needed = [today + timedelta(days=offset) for offset in range(-max_age_days, 2)]
    missing = [day for day in needed if day not in there]
    if not missing:
        return ok("partitions", f"{len(there)} days, up to {max(there)}")
    named = ", ".join(day.isoformat() for day in missing[:3]) + (" ..." if len(missing) > 3 else "")  # noqa: PLR2004
    judge = critical if today in missing or today + timedelta(days=1) in missing else warning
    return judge(
        "partitions",
        f"missing for {named}",
        "a running gateway makes them: start it, and look in its log for `partitions`",
    )


def judge_disk(server: Server, days: Days, *, local: bool) -> Finding:
    """How long the disk lasts, where it can be seen from here: `local` says that the database is on this machine."""
    yesterday = days.yesterday if (days.yesterday or 0) >= GROWTH_FROM_BYTES else None
    growth = f", {size(yesterday)} of history a day" if yesterday else ""
    taken = f"the database takes {size(server.octets)}{growth}"
    directory = Path(server.data_directory or "/nonexistent")
    if not (local and _is_dir(directory)):
        return note("disk", f"{taken}; its disk is not to be seen from here", "watch it where it is")
    free = shutil.disk_usage(directory).free
    text = f"{taken}; {size(free)} free"
    if yesterday is None:
        return ok("disk", text)
    left = free / yesterday
    text += f", enough for {left:,.0f} days"
    if left >= DISK_DAYS_WARNING:
        return ok("disk", text)
    judge = critical if left < DISK_DAYS_CRITICAL else warning
    return judge(
        "disk",
        text,
        "a larger disk, or `joulegate archive`: when it is full, readings wait at the broker until its queue is",
    )


def _is_dir(directory: Path) -> bool:
    try:
        return directory.is_dir()
    except OSError:
        return False


def size(octets: float) -> str:
    """Bytes for people, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 1000:  # noqa: PLR2004 - the next unit
            return f"{octets:.3g} {unit}" if octets < 100 else f"{octets:.0f} {unit}"  # noqa: PLR2004 - digits
        octets /= 1000
    return f"{octets:.3g} TB"


def hours(seconds: float) -> str:
    """A duration for people."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} s"
