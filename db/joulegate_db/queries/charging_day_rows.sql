-- Computes the rows of charging_24h anew: the stale ones, or all when the window has moved on. A vehicle is one range of the index.
update charging_24h as day
set (ac, dc, judged_ac, judged_dc, vehicle_readings, meter_readings, events, pairing, stale) = (
    sums.ac, sums.dc, sums.judged_ac, sums.judged_dc,
    coalesce(sums.vehicle_readings, 0), coalesce(sums.meter_readings, 0), coalesce(sums.events, 0), sums.pairing, false
)
from (
    select wanted.vehicle as wanted, found.*
    from charging_state
    cross join charging_24h as wanted
    left join lateral (
        select *
        from charging_sums(charging_state.attributed_until - interval '24 hours', charging_state.attributed_until) as one
        where one.vehicle = wanted.vehicle
        offset 0
    ) as found on true
    where wanted.stale or charging_state.day_until <> charging_state.attributed_until
) as sums
where day.vehicle = sums.wanted
