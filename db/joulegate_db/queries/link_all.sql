-- Links in the order of a person: by meter, then by time. $1 vehicle, $2 meter (each null: any).
select id, vehicle, meter, lower(valid) as valid_from, upper(valid) as valid_to, created_at
from links
where ($1::text is null or vehicle = $1) and ($2::text is null or meter = $2)
order by meter, lower(valid)
