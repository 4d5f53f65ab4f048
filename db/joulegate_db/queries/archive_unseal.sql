-- archive_unseal
-- History is there again from $1 on. Part of the transaction that attaches it.
update roll_state set archived_until = least(archived_until, $1)
