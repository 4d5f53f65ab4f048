-- The links that have anything to do with a link that is to be put: the same one ($1 vehicle, $2 meter, $3 its beginning), and those
-- of its meter that are valid at some moment of [$3, $4) ($4 null: without end).
select id, vehicle, meter, lower(valid) as valid_from, upper(valid) as valid_to, created_at
from links
where meter = $2 and (valid && tstzrange($3, $4) or (vehicle = $1 and lower(valid) = $3))
order by lower(valid)
