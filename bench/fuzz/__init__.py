"""Fuzz: the decoder against a second reading of the message contract, coverage-guided. See README.md.

oracle.py       what docs/messages.md says about one message, written from its words alone
compare.py      one message to both; says where they differ
messages.py     messages: valid, and with faults built in
edits.py        changes to a message that is there
__main__.py     `make fuzz`: atheris, the count, the record
"""
