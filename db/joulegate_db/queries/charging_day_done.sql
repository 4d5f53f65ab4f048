-- charging_24h is of the 24 h before attributed_until; what nobody could be given in it is summed here.
update charging_state
set day_until = attributed_until,
    stale = false,
    day_unattributed = coalesce((
        select sum(ac) from unattributed_15m where bucket >= attributed_until - interval '24 hours' and bucket < attributed_until
    ), 0)
