-- archive_seal
-- From here on nothing before $1 is ever rolled again. Under the lock of declarations: no step of the roller is in the middle.
update roll_state set archived_until = greatest(archived_until, $1)
