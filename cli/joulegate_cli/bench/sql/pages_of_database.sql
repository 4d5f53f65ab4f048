-- Pages of shared buffers that were touched in this database at all, planning and connecting included; complete once sessions have ended.
select blks_hit + blks_read from pg_stat_database where datname = current_database()
