-- Deletes a link and returns it: $1 its id.
delete from links
where id = $1
returning id, vehicle, meter, lower(valid) as valid_from, upper(valid) as valid_to, created_at
