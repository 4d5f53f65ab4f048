"""`make rivals`: what else people take for this job, measured beside joulegate on the same broker, database and messages.

Written by us, tuned fairly, with pinned versions. `catalogue.py` lists the rivals, `programs/` holds them; each stores a reading as a row
of one of two plain tables (`tables.sql`) and does nothing else. `drained.py` measures how fast, `killed.py` what becomes of the
messages when the rival is killed (kill -9) and started again.
"""
