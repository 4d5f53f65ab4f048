-- What a vehicle's performance answer is made of in the plain case, in one row (docs/adr/0007-plain-answers.md): it was alone at its charge
-- points, all by interval energies, without links. No row: the case is another one.
-- Whole buckets come from charging_15m, as sums (`kept_...`); single readings, in arrays, from history: for the window's two edges and for
-- what is not attributed yet, of the vehicle (`own_...`) and of meters (`drawn_...`). Arrays of a kind belong together, element by element.
-- Times come in their binary form, one after the other: the client reads hundreds of them as one row of numbers. `..._meters`: null when all
-- are of the one `..._meter`.
-- $1 vehicle; the window is [$2, $3), [$4, $5) the whole buckets in it, [$6, $7) the buckets that it touches; before $8 all must be attributed.
-- Made for a generic plan: $2 to $8 themselves stand in the conditions on history, so that other partitions are left out before it runs.
with state as materialized (
    select least(attributed_until, rolled_until) as until, meter_energy, vehicle_energy from charging_state, roll_state
),
kept as materialized (
    select
        sum(ac) filter (where is_whole) as ac, sum(dc) filter (where is_whole) as dc, sum(temperatures) filter (where is_whole) as temperatures,
        sum(vehicle_readings) filter (where is_whole) as readings, sum(meter_readings) filter (where is_whole) as meter_readings,
        sum(late) filter (where is_whole) as late,
        sum(ac) filter (where is_whole and paired) as paired_ac, sum(dc) filter (where is_whole and paired) as paired_dc,
        sum(gap) filter (where is_whole) as gap,
        string_agg(timestamptz_send(first_ts) || timestamptz_send(last_ts), '') filter (where is_whole) as spans,
        min(meter) filter (where is_whole) as meter, max(meter) filter (where is_whole) as last_in_order,
        array_agg(meter) filter (where is_whole and meter is not null) as meters,
        array_agg(ac) filter (where is_whole and meter is not null) as meters_ac,
        -- of all, for what follows
        bool_and(charge_point is not null) as is_plain, array_agg(charge_point) as places, array_agg(meter) as all_meters,
        min(charge_point) filter (where bucket < $4) as first_place, min(meter) filter (where bucket < $4) as first_meter,
        min(charge_point) filter (where bucket >= $5) as last_place, min(meter) filter (where bucket >= $5) as last_meter
    from (
        select *, bucket >= $4 and bucket < $5 as is_whole
        from charging_15m
        where vehicle = $1 and bucket >= $6 and bucket < $7 and bucket < (select until from state)
    ) as one
),
own as materialized (
    select ts, kwh, battery_temp, late, charge_point
    from vehicle_history
    where device = $1 and ts >= $2 and ts < $4
    union all
    select ts, kwh, battery_temp, late, charge_point
    from vehicle_history
    where device = $1 and ts >= $8 and ts < $7 and ts >= least($5, (select until from state))
),
-- who else was where the vehicle was, in buckets that are not attributed yet
beside as materialized (
    select place.charge_point, place.bucket, seen.kind, seen.device
    from (
        select distinct charge_point, date_bin('15 minutes', ts, timestamptz 'epoch') as bucket
        from own
        where ts >= (select until from state)
    ) as place
    cross join lateral (
        select kind, device
        from presence
        where charge_point = place.charge_point and bucket = place.bucket and (kind, device) <> ('vehicle', $1)
        offset 0 -- keeps the planner on one range of the primary key a place
    ) as seen
),
used as materialized (
    select array(select unnest(all_meters) union select device from beside where kind = 'meter') as meters from kept
),
-- in the bucket that the window's beginning cuts, in the one that its end cuts, and in those that are not attributed yet
drawn as (
    select reading.*
    from kept
    cross join lateral (
        select device, ts, kwh, late
        from meter_history
        where device = first_meter and charge_point = first_place and ts >= $2 and ts < $4
    ) as reading
    union all
    select reading.*
    from (
        select last_meter as meter, last_place as charge_point, $5 as bucket from kept where last_meter is not null
        union all
        select device, charge_point, bucket from beside where kind = 'meter'
    ) as span
    cross join lateral (
        select device, ts, kwh, late
        from meter_history
        where
            device = span.meter and charge_point = span.charge_point and ts >= $8 and ts < $3
            and ts >= span.bucket and ts < span.bucket + interval '15 minutes'
    ) as reading
)
select
    kept.ac as kept_ac, kept.dc as kept_dc, kept.paired_ac as kept_paired_ac, kept.paired_dc as kept_paired_dc, kept.gap as kept_gap,
    coalesce(kept.readings, 0) as kept_readings, coalesce(kept.meter_readings, 0) as kept_meter_readings,
    coalesce(kept.temperatures, 0) + coalesce(own.temperatures, 0) as temperatures,
    coalesce(kept.late, 0) + coalesce(own.late, 0) + coalesce(drawn.late, 0) as late,
    kept.spans as kept_spans, kept.meter as kept_meter,
    case when kept.meter <> kept.last_in_order then kept.meters end as kept_meters,
    case when kept.meter <> kept.last_in_order then kept.meters_ac end as kept_meters_ac,
    own.times as own_times, own.kwh as own_kwh, drawn.times as drawn_times, drawn.kwh as drawn_kwh, drawn.meter as drawn_meter,
    case when drawn.meter <> drawn.last_in_order then drawn.meters end as drawn_meters,
    case when kept.ac is null and drawn.meter is null then kept.places || own.places end as charge_points
from kept
cross join (
    select
        string_agg(timestamptz_send(ts), '') as times, array_agg(kwh) as kwh, sum(battery_temp) as temperatures, count(*) filter (where late) as late,
        array_agg(charge_point) as places
    from own
    where ts < $3
) as own
cross join (
    select
        string_agg(timestamptz_send(ts), '') as times, array_agg(kwh) as kwh, min(device) as meter, max(device) as last_in_order,
        array_agg(device) as meters, count(*) filter (where late) as late
    from drawn
) as drawn
cross join state
cross join used
where
    state.until >= greatest($4, $8) and state.meter_energy = 'interval' and state.vehicle_energy = 'interval'
    and kept.is_plain is not false
    and not exists (select from beside where kind = 'vehicle')
    and not exists (select from links where vehicle = $1 or meter = any(used.meters))
    and not exists (select from devices where device = any(used.meters || $1::text) and energy = 'register')
    -- what late readings and changed declarations touched, and what is rolled anew but not attributed yet
    and not exists (
        select from rollup_marks where device = $1 and kind = 'vehicle' and bucket >= $6 and bucket < $7 and bucket < state.until
    )
    and not exists (
        select
        from rollup_marks
        where charge_point = any(kept.places || ''::text) and bucket >= $6 and bucket < $7 and bucket < state.until
    )
    and not exists (select from charging_marks where bucket >= $6 and bucket < $7 and bucket < state.until)
