-- What is declared about devices: $1 kind (null: both).
select kind, device, energy, max_kw, first_seen from devices where $1::text is null or kind = $1 order by kind, device
