-- Opens alerts; at most one open alert of a kind a device, the unique index sees to it. Returns kinds and how many.
-- $1 now; $2 low efficiency under this ratio; both judgements want $3 vehicle readings in the 24 h and $4 kWh.
-- $5 silent: the newest reading was received before. $6 nobody listened before: it counts as heard then. $7 before: out of service.
-- Two places: the device came back so often ($10) to a charge point in a bucket rolled within $11, while it reported from another one, too.
-- A device that is silent again soon, its last alert having closed after $8, must have been silent since before $9: no flapping.
with judged as (
    select
        *, case when judged_ac > 0 then judged_dc / judged_ac end as ratio,
        format(
            '%s kWh DC of %s kWh AC in the last 24 h, %s vehicle readings', round(judged_dc::numeric, 3), round(judged_ac::numeric, 3),
            vehicle_readings
        ) as detail
    from charging_24h
    where vehicle_readings >= $3 and greatest(judged_ac, judged_dc) >= $4 and judged_ac is not null
),
events as (
    select 'vehicle' as device_kind, device, sum(resets) as resets, sum(jumps) as jumps, max(bucket) as newest
    from vehicle_rollup_15m, charging_state
    where (resets > 0 or jumps > 0) and bucket >= day_until - interval '24 hours' and bucket < day_until
    group by device
    union all
    select 'meter', device, sum(resets), sum(jumps), max(bucket)
    from meter_rollup_15m, charging_state
    where (resets > 0 or jumps > 0) and bucket >= day_until - interval '24 hours' and bucket < day_until
    group by device
),
live as (
    select 'vehicle' as device_kind, device, received_at from vehicle_live
    union all
    select 'meter', device, received_at from meter_live
),
silent as (
    select *
    from live
    where
        greatest(received_at, $6) < $5 and received_at >= $7
        and (
            greatest(received_at, $6) < $9
            or not exists (
                select from alerts as recent
                where
                    recent.kind = 'silent_device' and recent.closed_at > $8
                    and (recent.device, recent.device_kind) = (live.device, live.device_kind)
            )
        )
),
doubled as (
    select distinct on (kind, device) kind as device_kind, device, returns, places, bucket
    from place_turns
    where returns >= $10 and bucket >= (select rolled_until from roll_state) - $11::interval
    order by kind, device, bucket desc
),
found (kind, device_kind, device, value, threshold, detail) as (
    select 'low_efficiency', 'vehicle', vehicle, ratio, $2::double precision, detail from judged where ratio < $2::double precision
    union all
    select 'implausible', 'vehicle', vehicle, ratio, 1, detail from judged where judged_dc > judged_ac
    union all
    select
        'register_reset', device_kind, device, resets + jumps, 0,
        format(
            '%s resets, %s jumps in the last 24 h, the newest in the bucket of %s', resets, jumps,
            to_char(newest at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        )
    from events
    union all
    select
        'silent_device', device_kind, device, round(extract(epoch from $1::timestamptz - received_at)), extract(epoch from $1::timestamptz - $5::timestamptz),
        format('the newest reading was received at %s', to_char(received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
    from silent
    union all
    select
        'two_places', device_kind, device, returns, $10,
        format(
            'from %s in turns: %s times back within five minutes, in the bucket of %s', places, returns,
            to_char(bucket at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        )
    from doubled
),
opened as (
    insert into alerts (opened_at, kind, device_kind, device, value, threshold, detail)
    select $1::timestamptz, kind, device_kind, device, value, threshold, detail
    from found
    where not exists (
        select from alerts as open
        where
            open.closed_at is null
            and (open.device, open.device_kind, open.kind) = (found.device, found.device_kind, found.kind)
    )
    order by kind, device
    on conflict (device, device_kind, kind) where closed_at is null do nothing
    returning kind
)
select kind, count(*) from opened group by kind order by kind
