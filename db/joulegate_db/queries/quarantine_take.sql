-- Takes rows out whose messages are in history now, in the transaction that has put them there. Returns those that were there.
delete from quarantine where id = any($1::bigint[]) returning id
