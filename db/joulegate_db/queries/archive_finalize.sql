-- archive_finalize
-- Ends what a killed archive_detach began.
alter table public.$PARENT detach partition public.$TABLE finalize
