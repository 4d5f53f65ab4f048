-- Binds devices: $1 kinds, $2 devices, $3 charge points. Returns those for which something changed.
insert into bindings as bound (kind, device, charge_point)
select kind, device, charge_point
from unnest($1::text[], $2::text[], $3::text[]) as wanted (kind, device, charge_point)
order by device, kind
on conflict (device, kind) do update
set (charge_point, bound_at) = (excluded.charge_point, now())
where bound.charge_point <> excluded.charge_point
returning device
