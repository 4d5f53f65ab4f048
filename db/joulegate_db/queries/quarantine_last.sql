-- How many rows there are, and the newest: $1 reason (null: any).
select count(*) as rows, coalesce(max(id), 0) as last from quarantine where $1::text is null or reason = $1
