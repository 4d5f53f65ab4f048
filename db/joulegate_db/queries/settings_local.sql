-- Settings for the rest of this transaction, where no session keeps them. $1: their names; $2: their values.
select set_config(name, value, true) from unnest($1::text[], $2::text[]) as wanted (name, value)
