-- Counts what did not fit under the cap. $1 reasons (sorted), $2 counts of messages, $3 received_at.
insert into quarantine_totals as total (reason, overflowed, first_overflow, last_overflow)
select reason, count, $3, $3 from unnest($1::text[], $2::bigint[]) as refused (reason, count)
on conflict (reason) do update
set overflowed = total.overflowed + excluded.overflowed,
    first_overflow = least(total.first_overflow, excluded.first_overflow),
    last_overflow = greatest(total.last_overflow, excluded.last_overflow)
