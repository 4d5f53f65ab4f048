-- A plain answer looks for what is rolled anew but not attributed yet at its charge points only (queries/performance_plain.sql): what a backlog
-- touches elsewhere does not matter to it. So a vehicle that was elsewhere, too, leaves a mark also where its row in charging_15m says that it was.
create or replace function charging_mark_vehicle() returns trigger language plpgsql as $$
begin
    insert into public.charging_marks (bucket, charge_point, vehicle)
    select bucket, charge_point, '' from touched
    union
    select charging.bucket, charging.charge_point, ''
    from touched
    join public.charging_state as state on touched.bucket < state.attributed_until
    cross join lateral (
        select bucket, charge_point
        from public.charging_15m
        where vehicle = touched.device and bucket = touched.bucket and charge_point <> touched.charge_point
        offset 0
    ) as charging;
    return null;
end
$$;

-- An index that never had an entry costs a question two pages, and one that had some costs one: these are asked with every plain answer.
insert into rollup_marks (bucket, device, kind, charge_point) values ('epoch', '', '', '');
delete from rollup_marks where device = '';
insert into charging_marks (bucket, charge_point, vehicle) values ('epoch', '', '');
delete from charging_marks where bucket = 'epoch';
insert into devices (device, kind, energy) values ('', 'meter', 'register');
delete from devices where device = '';
insert into links (id, vehicle, meter, valid) overriding system value values (0, '', '', tstzrange('epoch', null));
delete from links where meter = '';
