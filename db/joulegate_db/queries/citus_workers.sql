-- How many active nodes take shards.
select count(*) from pg_dist_node where isactive and shouldhaveshards and noderole = 'primary'
