-- What is declared about devices so far: $1 kinds, $2 devices. Devices that are not known are left out.
select declared.kind, declared.device, declared.energy, declared.max_kw
from unnest($1::text[], $2::text[]) as wanted (kind, device)
join devices as declared on declared.kind = wanted.kind and declared.device = wanted.device
