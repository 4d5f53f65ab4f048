-- Closes the open alerts whose cause is over. Returns kinds and how many.
-- $1 now; $2 low efficiency ends from this ratio on, $3 implausible up to this one; both want $4 vehicle readings in the 24 h and $5 kWh.
-- $6 a silent device has spoken when its newest reading was received then or later; $7 one whose newest was received before is out of service.
-- A device is at one place again when no bucket rolled within $9 has $8 returns.
-- What has too little energy or too few readings to be judged stays as it is: nothing says that it is repaired.
with live as (
    select 'vehicle' as device_kind, device, received_at from vehicle_live
    union all
    select 'meter', device, received_at from meter_live
),
events as materialized (
    select 'vehicle' as device_kind, device from vehicle_rollup_15m, charging_state
    where (resets > 0 or jumps > 0) and bucket >= day_until - interval '24 hours' and bucket < day_until
    union
    select 'meter', device from meter_rollup_15m, charging_state
    where (resets > 0 or jumps > 0) and bucket >= day_until - interval '24 hours' and bucket < day_until
),
known as (
    select
        alert.id, alert.kind,
        coalesce(live.received_at, '-infinity') < $7 as is_gone,
        live.received_at >= $6 as spoke,
        events.device is null as left_window,
        not exists (
            select from place_turns
            where
                (place_turns.device, place_turns.kind) = (alert.device, alert.device_kind)
                and returns >= $8 and bucket >= (select rolled_until from roll_state) - $9::interval
        ) as is_one,
        coalesce(day.vehicle_readings >= $4 and greatest(day.judged_ac, day.judged_dc) >= $5, false) as is_judged,
        day.judged_ac, day.judged_dc
    from alerts as alert
    left join live on (live.device, live.device_kind) = (alert.device, alert.device_kind)
    left join events on (events.device, events.device_kind) = (alert.device, alert.device_kind)
    left join charging_24h as day on day.vehicle = alert.device and alert.device_kind = 'vehicle'
    where alert.closed_at is null
),
over as (
    select
        id,
        case
            when kind = 'silent_device' then
                case when is_gone then 'out of service: no reading within the clock window' when spoke then 'a reading came' end
            when kind = 'register_reset' then
                case when left_window then 'the event left the last 24 h' end
            when kind = 'two_places' then
                case when is_one then 'for an hour it was not at two charge points at once' end
            when kind = 'low_efficiency' then
                case
                    when is_judged and judged_dc >= judged_ac * $2 then 'the ratio recovered'
                    when is_gone then 'out of service: no reading within the clock window'
                end
            when kind = 'implausible' then
                case
                    when is_judged and judged_dc <= judged_ac * $3 then 'the ratio recovered'
                    when is_gone then 'out of service: no reading within the clock window'
                end
        end as because
    from known
),
closed as (
    update alerts
    set closed_at = greatest($1, opened_at), closed_because = over.because
    from over
    where over.id = alerts.id and over.because is not null
    returning alerts.kind
)
select kind, count(*) from closed group by kind order by kind
