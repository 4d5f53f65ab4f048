-- Days before it are in files: what is written to them now is never rolled.
select archived_until from roll_state
