-- What vehicles' performance answers are made of in the plain case, as a few sums each (docs/adr/0007-plain-answers.md): a vehicle was alone
-- at its charge points, all by interval energies, without links. No row: the case is another one, or there is nothing.
-- Whole buckets come from charging_15m (`bucket` null), one row for each charge point, meter and `paired`; what history has of the window's two
-- edges and of buckets that are not attributed yet comes by bucket: the vehicle's readings in rows of their own, and each meter's.
-- `firsts` and `lasts` are times in the binary form of an array, for the client to read as one row of numbers: of the first and the last reading
-- of each bucket, or of every reading (`lasts` null).
-- $1 vehicles, each with its window, [$2, $3): all of the same buckets. [$4, $5) the whole ones, [$6, $7) those that a window touches; before $8
-- all must be attributed. `position` says whose a row is, from 1.
-- Made for a generic plan: it costs what it takes to set up its nodes and to lock every partition that it names, so each history is named once,
-- and several vehicles share that: all below is done again for each, as by an index.
-- $4 to $8 themselves stand in the conditions on history, so that other partitions are left out before it runs.
-- `offset 0` keeps the planner on one range of an index, however full or empty a table was when the plan was made.
with state as materialized (
    select least(attributed_until, rolled_until) as until, meter_energy, vehicle_energy from charging_state, roll_state
)
select position, cell.*
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) with ordinality as asked (vehicle, since, until, position)
cross join lateral (
    with kept as materialized (
        select
            edge, charge_point, meter, paired, sum(ac) as ac, sum(dc) as dc, sum(temperatures) as temperatures,
            sum(vehicle_readings) as vehicle_readings, sum(meter_readings) as meter_readings, sum(late) as late, sum(gap) as gap,
            array_send(array_agg(first_ts)) as firsts, array_send(array_agg(last_ts)) as lasts
        from (
            select *, case when bucket < $4 then 1 when bucket >= $5 then 2 else 0 end as edge
            from charging_15m
            where vehicle = asked.vehicle and bucket >= $6 and bucket < $7 and bucket < (select until from state)
        ) as one
        group by edge, charge_point, meter, paired
    ),
    own as materialized (
        select reading.*
        from (
            select asked.since, $4 as until
            union all
            select greatest($8, least($5, until)), $7 from state
        ) as span
        cross join lateral (
            select ts, kwh, battery_temp, late, charge_point, date_bin('15 minutes', ts, timestamptz 'epoch') as bucket
            from vehicle_history
            where
                device = asked.vehicle and ts >= span.since and ts < span.until
                and (ts >= $6 and ts < $4 or ts >= $8 and ts < $7)
        ) as reading
    ),
    -- who else was where the vehicle was, in buckets that are not attributed yet
    beside as materialized (
        select place.charge_point, place.bucket, seen.kind, seen.device
        from (select distinct charge_point, bucket from own where bucket >= (select until from state)) as place
        cross join lateral (
            select kind, device
            from presence
            where charge_point = place.charge_point and bucket = place.bucket and (kind, device) <> ('vehicle', asked.vehicle)
            offset 0
        ) as seen
    ),
    -- the meters of the bucket that the window's beginning cuts, of the one that its end cuts, and of those that are not attributed yet
    metered as materialized (
        select
            meter, charge_point, case edge when 1 then asked.since else $5 end as since, case edge when 1 then $4 else asked.until end as until
        from kept
        where edge > 0 and meter is not null
        union all
        select device, charge_point, bucket, bucket + interval '15 minutes' from beside where kind = 'meter'
    ),
    used as materialized (
        select
            array(select meter from kept union select meter from metered) as meters,
            array(select distinct charge_point from kept) || ''::text as charge_points
    ),
    plain as materialized (
        select
        from state
        where
            state.until >= greatest($4, $8) and state.meter_energy = 'interval' and state.vehicle_energy = 'interval'
            and not exists (select from kept where charge_point is null)
            and not exists (select from beside where kind = 'vehicle')
            and not exists (select from links where vehicle = asked.vehicle)
            and not exists (
                select
                from used
                cross join lateral unnest(meters) as one (meter)
                cross join lateral (select from links where links.meter = one.meter offset 0) as link
            )
            and not exists (select from devices where device = any((select meters || asked.vehicle from used)::text[]) and energy = 'register')
            -- what late readings and changed declarations touched, and what is rolled anew but not attributed yet
            and not exists (
                select
                from (select bucket from rollup_marks where device = asked.vehicle and kind = 'vehicle' offset 0) as mark
                where bucket >= $6 and bucket < $7 and bucket < state.until
            )
            and not exists (
                select
                from (select bucket from rollup_marks where charge_point = any((select charge_points from used)::text[]) offset 0) as mark
                where bucket >= $6 and bucket < $7 and bucket < state.until
            )
            and not exists (
                select
                from (select bucket from charging_marks where charge_point = any((select charge_points from used)::text[]) offset 0) as mark
                where bucket >= $6 and bucket < $7 and bucket < state.until
            )
    )
    select cell.*
    from plain
    cross join (
        select
            null::timestamptz as bucket, charge_point, meter, paired, ac, dc, temperatures, vehicle_readings, meter_readings, late, gap,
            firsts, lasts
        from kept
        where edge = 0
        union all
        select
            bucket, charge_point, null, null, null, sum(kwh), sum(battery_temp), count(*), 0, count(*) filter (where late), 0,
            array_send(array_agg(ts)), null
        from own
        where ts < asked.until
        group by bucket, charge_point
        union all
        select
            reading.bucket, null, meter, null, sum(kwh), null, 0, 0, count(*), count(*) filter (where late), 0, null, null
        from metered
        cross join lateral (
            select kwh, late, date_bin('15 minutes', ts, timestamptz 'epoch') as bucket
            from meter_history
            where
                device = metered.meter and charge_point = metered.charge_point and ts >= metered.since and ts < metered.until
                and ts < asked.until and (ts >= $6 and ts < $4 or ts >= $8 and ts < $7)
        ) as reading
        group by reading.bucket, meter
    ) as cell
) as cell
