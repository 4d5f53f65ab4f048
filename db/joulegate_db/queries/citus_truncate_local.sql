-- Frees what the coordinator still keeps of a table that was distributed with rows in it.
select truncate_local_data_after_distributing_table($1::text::regclass)
