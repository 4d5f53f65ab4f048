-- Quarantine with a cap: what each reason's rows take, and what was counted without being kept.

-- One row a reason. kept_* is a sum over the rows of `quarantine`, kept exact by triggers, whoever changes it; overflowed goes on when rows go.
-- Messages quarantined = kept_messages + overflowed, as long as no row was deleted.
create table quarantine_totals (
    kept_rows bigint not null default 0,
    kept_octets bigint not null default 0, -- of topics, payloads and details; a row takes more (joulegate_db/quarantine.py)
    kept_messages bigint not null default 0, -- the sum of the rows' counts
    overflowed bigint not null default 0, -- messages that did not fit under the cap
    first_overflow timestamptz,
    last_overflow timestamptz,
    reason text collate "C" primary key
) with (fillfactor = 50);

-- Changes of quarantine take turns: whoever makes one holds this lock to the end of its transaction. So the room that a writer
-- finds stays its own, and rows and totals can be locked in any order without a deadlock. A batch without bad messages does not come by.
create function quarantine_lock() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtext('joulegate.quarantine'));
    return null;
end
$$;
create trigger quarantine_lock before insert or update or delete on quarantine
for each statement execute function quarantine_lock();

create function quarantine_total_added() returns trigger language plpgsql as $$
begin
    insert into public.quarantine_totals as total (reason, kept_rows, kept_octets, kept_messages)
    select reason, count(*), sum(octet_length(topic) + octet_length(payload) + octet_length(detail)), sum(count)
    from added
    group by reason
    on conflict (reason) do update
    set kept_rows = total.kept_rows + excluded.kept_rows,
        kept_octets = total.kept_octets + excluded.kept_octets,
        kept_messages = total.kept_messages + excluded.kept_messages;
    return null;
end
$$;

create function quarantine_total_removed() returns trigger language plpgsql as $$
begin
    update public.quarantine_totals as total
    set kept_rows = total.kept_rows - gone.number,
        kept_octets = total.kept_octets - gone.octets,
        kept_messages = total.kept_messages - gone.messages
    from (
        select
            reason, count(*) as number, sum(count) as messages,
            sum(octet_length(topic) + octet_length(payload) + octet_length(detail)) as octets
        from removed
        group by reason
    ) as gone
    where total.reason = gone.reason;
    return null;
end
$$;

create function quarantine_total_emptied() returns trigger language plpgsql as $$
begin
    update public.quarantine_totals set kept_rows = 0, kept_octets = 0, kept_messages = 0;
    return null;
end
$$;

create trigger quarantine_inserted after insert on quarantine
referencing new table as added for each statement execute function quarantine_total_added();
create trigger quarantine_updated_new after update on quarantine
referencing new table as added for each statement execute function quarantine_total_added();
create trigger quarantine_updated_old after update on quarantine
referencing old table as removed for each statement execute function quarantine_total_removed();
create trigger quarantine_deleted after delete on quarantine
referencing old table as removed for each statement execute function quarantine_total_removed();
create trigger quarantine_truncated after truncate on quarantine
for each statement execute function quarantine_total_emptied();

-- A message that comes again and again must not fill the disk either. Without an index on what changes, and with room in each page, counting
-- up is a heap-only update, and the next one clears the page: no waiting for vacuum. Newest first is by id.
drop index quarantine_by_time;
alter table quarantine set (fillfactor = 70);

-- What is there already. The triggers' lock on the table keeps out a gateway of the former version until this is committed.
insert into quarantine_totals (reason, kept_rows, kept_octets, kept_messages)
select reason, count(*), sum(octet_length(topic) + octet_length(payload) + octet_length(detail)), sum(count)
from quarantine
group by reason;
