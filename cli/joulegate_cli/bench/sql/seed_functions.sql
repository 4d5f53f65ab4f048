-- What fills a bench's database straight from SQL; it lasts as long as the connection. A partition is made standalone, filled in the order
-- of time and attached, which builds its indexes: much faster than through the writer. Each device has a second of its own in the minute.

create temporary table fleet as
select
    n, n * interval '60 seconds' / $PAIRS as shift, 'm-' || lpad(n::text, 6, '0') as meter, 'v-' || lpad(n::text, 6, '0') as vehicle,
    'cp-' || lpad(n::text, 6, '0') as place
from generate_series(0, $PAIRS - 1) as n;
analyze fleet;

set work_mem = '512MB';
set maintenance_work_mem = '512MB';
set timezone = 'UTC';

-- A day of both histories, [since, until), with a reading a step.
create function pg_temp.seed_history(since timestamptz, until timestamptz, step interval) returns void language plpgsql as $$
declare
    day text := to_char(since, 'YYYYMMDD');
    bounds text := format('for values from (%L) to (%L)', date_trunc('day', since), date_trunc('day', since) + interval '1 day');
begin
    execute format('create table meter_history_%s (like meter_history including defaults including constraints)', day);
    execute format('create table vehicle_history_%s (like vehicle_history including defaults including constraints)', day);
    execute format($sql$
        insert into meter_history_%s (ts, kwh, voltage, late, device, charge_point)
        select minute + shift, 0.1 + n %% 100 / 1000.0, 230, false, meter, place
        from generate_series($1, $2 - interval '1 us', $3) as minute cross join fleet
        order by 1
    $sql$, day) using since, until, step;
    execute format($sql$
        insert into vehicle_history_%s (ts, kwh, battery_temp, soc, late, device, charge_point)
        select minute + shift, 0.09 + n %% 100 / 1100.0, 25 + n %% 9, 50, false, vehicle, place
        from generate_series($1, $2 - interval '1 us', $3) as minute cross join fleet
        order by 1
    $sql$, day) using since, until, step;
    execute format('alter table meter_history attach partition meter_history_%s %s', day, bounds);
    execute format('alter table vehicle_history attach partition vehicle_history_%s %s', day, bounds);
end
$$;
