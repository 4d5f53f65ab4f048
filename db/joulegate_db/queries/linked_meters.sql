-- The meters that are linked to one of the vehicles ($1) at some moment of [$2, $3).
select distinct meter
from links
where vehicle = any($1::text[]) and valid && tstzrange($2, $3)
order by meter
