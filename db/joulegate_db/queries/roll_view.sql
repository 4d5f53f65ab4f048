-- How each device's readings are to be read: what the rollups hold, and how energies are computed.
-- $1 kind, $2 devices. `seen`: the device is known.
select
    wanted.device,
    declared.device is not null as seen,
    roll_state.rolled_until,
    roll_state.look_back,
    coalesce(declared.energy, case $1 when 'meter' then roll_state.meter_energy else roll_state.vehicle_energy end)
        = 'register' as is_register,
    coalesce(declared.max_kw, roll_state.max_kw) as max_kw,
    array(
        select distinct bucket from rollup_marks where device = wanted.device and kind = $1 order by bucket
    ) as marks
from unnest($2::text[]) as wanted (device)
cross join roll_state
left join devices as declared on declared.device = wanted.device and declared.kind = $1
