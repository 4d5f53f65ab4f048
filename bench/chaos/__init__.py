"""Chaos: breaks joulegate in every way that can be arranged on one machine, under load, and counts what became of each reading.

`make chaos` runs all of it; docs/reliability.md explains the promises and holds the recorded figures.

    plan.py         the numbered readings: what is published, and what must be found afterwards
    fleet.py        publishers with a ledger of what the broker acknowledged
    stand.py        one scenario's broker, database and gateways
    process.py      a gateway as a child process
    proxy.py        TCP in between: cut, reset, swallowed, late, slow
    verdict.py      the ledger against history, quarantine and live state, row by row
    scenarios/      the faults
    report.py       the tables
"""
