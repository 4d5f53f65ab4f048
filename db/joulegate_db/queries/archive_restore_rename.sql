-- archive_restore_rename
alter table public.restoring_$TABLE rename to $TABLE
