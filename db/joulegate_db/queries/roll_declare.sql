-- Declares the defaults that energies are computed with: $1 meters' kind, $2 vehicles', $3 cap in kW, $4 look-back. Cap and look-back
-- matter to registers only. When what was rolled no longer holds, readers go to history until it is rolled anew.
-- Returns whether that is so.
with changed as (
    update roll_state
    set (meter_energy, vehicle_energy, max_kw, look_back, rolled_until) = (
        $1, $2, $3, $4,
        case
            when (meter_energy, vehicle_energy) is distinct from ($1, $2)
                or 'register' in ($1, $2)
                or exists (select from devices where energy = 'register')
            then 'epoch'
            else rolled_until
        end
    )
    where (meter_energy, vehicle_energy, max_kw, look_back) is distinct from ($1, $2, $3, $4)
    returning rolled_until = 'epoch' as anew
),
forgotten as (
    delete from register_baselines where (select anew from changed)
)
select coalesce((select anew from changed), false)
