-- All links of the meters $1.
select id, vehicle, meter, lower(valid) as valid_from, upper(valid) as valid_to, created_at
from links
where meter = any($1::text[])
order by meter, lower(valid)
