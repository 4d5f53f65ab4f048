-- Links in order of id, as a page. $1 vehicle, $2 meter, $3 a moment at which they are valid (each null: any), $4 the id to go on after,
-- $5 how many.
select id, vehicle, meter, lower(valid) as valid_from, upper(valid) as valid_to, created_at
from links
where
    ($1::text is null or vehicle = $1) and ($2::text is null or meter = $2) and ($3::timestamptz is null or valid @> $3)
    and id > $4
order by id
limit $5
