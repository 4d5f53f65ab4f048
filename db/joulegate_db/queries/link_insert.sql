-- New links: $1 vehicles, $2 meters, $3 beginnings, $4 ends (null: open).
insert into links (vehicle, meter, valid)
select vehicle, meter, tstzrange(valid_from, valid_to)
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as put (vehicle, meter, valid_from, valid_to)
order by meter, valid_from
returning id, vehicle, meter, lower(valid) as valid_from, upper(valid) as valid_to, created_at
