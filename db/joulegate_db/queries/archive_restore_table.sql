-- archive_restore_table
-- A table to restore a day into, made anew: what a killed restore left is of no use.
drop table if exists public.restoring_$TABLE;
create table public.restoring_$TABLE (like public.$PARENT including defaults including constraints)
