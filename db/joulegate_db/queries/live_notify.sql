-- Rings for those who look at live tables. In a transaction of its own, at most once a second: a commit that notifies takes a lock
-- that all notifying commits of the server take turns in, so a batch's must not.
select pg_notify('joulegate_live', '')
