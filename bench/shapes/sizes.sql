select pg_table_size('shape'), pg_indexes_size('shape'), (select count(*) from shape)
