-- roles_missing
-- Which group roles this cluster lacks.
select wanted
from unnest(array['joulegate_reader', 'joulegate_writer', 'joulegate_operator']) as wanted
where to_regrole(wanted) is null
