-- Cold storage: days whose history was moved to files, and dropped. Their rollups stay as they are.

-- Readings measured before it are not in history any more, whatever partitions there are: nothing of those days is ever rolled again.
alter table roll_state add column archived_until timestamptz not null default 'epoch';
