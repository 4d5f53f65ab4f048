-- retention_rollups
-- Drops one partition of what is derived that ends by the UTC date $1; its name, null when there is none that may go.
select forget_rollups($1)
