-- Whether the database has the extension citus, in any version that keeps a list of distributed tables.
select to_regclass('pg_catalog.pg_dist_partition') is not null
