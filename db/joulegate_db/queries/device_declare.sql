-- Declares devices, known ones and others: $1 kinds, $2 devices, $3 energy kinds, $4 caps in kW (each null: the stream's setting holds).
insert into devices (kind, device, energy, max_kw)
select kind, device, energy, max_kw
from unnest($1::text[], $2::text[], $3::text[], $4::double precision[]) as declared (kind, device, energy, max_kw)
order by kind, device
on conflict (device, kind) do update
set (energy, max_kw) = (excluded.energy, excluded.max_kw)
