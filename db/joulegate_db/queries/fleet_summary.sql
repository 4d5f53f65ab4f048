-- The fleet's sums, statuses and distribution of ratios over the whole buckets in [$1, $2); one row.
-- $3 true: [$1, $2) are the 24 h that charging_24h holds. $4 degraded under this ratio, $5 lower edges of the distribution.
-- The worst: $6 how many, with at least $7 kWh of AC and $8 vehicle readings.
-- The branch of `vehicle_sums` that $3 does not choose is never run. The second reads one range of the primary key's index a vehicle:
-- its cost grows with the window and not with the months that are kept.
-- It is charging_sums($1, $2) written out: where vehicle_live is distributed (docs/adr/0008) no SQL function that reads tables may be beside it, nor
-- a subquery among what is selected.
with known as (
    select device as vehicle from devices where kind = 'vehicle' and not $3
    union
    select vehicle from links where not $3
),
vehicle_sums as materialized (
    select vehicle, ac, dc, judged_ac, judged_dc, vehicle_readings, pairing from charging_24h where $3
    union all
    select one.*
    from known
    cross join lateral (
        select
            vehicle, ac, dc,
            case when paired_ac > 0 then paired_ac else ac end,
            case when paired_ac > 0 then paired_dc else dc end,
            vehicle_readings, pairing
        from (
            select
                vehicle, sum(ac) as ac, sum(dc) as dc,
                sum(ac) filter (where paired) as paired_ac, sum(dc) filter (where paired) as paired_dc,
                sum(vehicle_readings) as vehicle_readings, min(pairing) as pairing
            from charging_15m
            where charging_15m.vehicle = known.vehicle and bucket >= $1 and bucket < $2
            group by charging_15m.vehicle
        ) as sums
        offset 0
    ) as one
),
rated as materialized (
    select *, case when judged_ac > 0 then judged_dc / judged_ac end as ratio from vehicle_sums
),
judged as materialized (
    select
        *,
        case
            when judged_dc > judged_ac then 'implausible'
            when ratio is null then 'unknown'
            when ratio < $4 then 'degraded'
            else 'ok'
        end as status
    from rated
),
worst as (
    select vehicle, ratio, ac, dc, vehicle_readings, coalesce(pairing, 0) as pairing, status
    from judged
    where ratio is not null and ac >= $7 and vehicle_readings >= $8
    order by ratio, vehicle
    limit $6
),
totals as (
    select
        sum(ac) as ac, sum(dc) as dc,
        sum(judged_ac) filter (where ratio is not null) as judged_ac,
        sum(judged_dc) filter (where ratio is not null) as judged_dc,
        count(*) filter (where status = 'ok') as ok,
        count(*) filter (where status = 'degraded') as degraded,
        count(*) filter (where status = 'implausible') as implausible,
        count(*) filter (where status = 'unknown') as unknown
    from judged
),
unseen as (
    select count(*) as unseen
    from vehicle_live as live
    where not exists (select from judged where judged.vehicle = live.device)
),
bins as (
    select bin, count(judged.ratio) as vehicles
    from generate_series(1, cardinality($5::double precision[])) as bin
    left join judged on width_bucket(judged.ratio, $5::double precision[]) = bin
    group by bin
)
select totals.*, unseen.unseen, binned.distribution, listed.worst
from totals
cross join unseen
cross join (select array_agg(vehicles order by bin) as distribution from bins) as binned
cross join (select coalesce(json_agg(worst order by ratio, vehicle), '[]')::text as worst from worst) as listed
