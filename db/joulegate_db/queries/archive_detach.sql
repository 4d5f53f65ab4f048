-- archive_detach
-- Takes a day out of history without holding up readers and writers. Not in a transaction.
alter table public.$PARENT detach partition public.$TABLE concurrently
