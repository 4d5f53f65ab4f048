-- Citus distributes no table with triggers. Those of the rollups do nothing for this version (migrations/0012_touched.sql).
do $$
declare
    one record;
begin
    for one in
        select tgname, tgrelid::regclass as relation
        from pg_trigger
        where tgrelid in ('meter_rollup_15m'::regclass, 'vehicle_rollup_15m'::regclass) and not tgisinternal
    loop
        execute format('drop trigger %I on %s', one.tgname, one.relation);
    end loop;
end
$$
