-- archive_drop
drop table public.$TABLE
