-- Waits for who holds the lock $1, and for the workers.
select settle($1)
