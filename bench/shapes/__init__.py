"""`PYTHONPATH=bench .venv/bin/python -m shapes`: how many bytes a reading takes in tables of other shapes, index included.

Each `tables/*.sql` creates one shape of the meter history; the first line of comment is its title, the second what it would break. All are
filled alike: a day of a fleet, minute by minute in the order of arrival, each minute in the order of keys as the writer's batches are.
"""
