-- One link: $1 its id.
select id, vehicle, meter, lower(valid) as valid_from, upper(valid) as valid_to, created_at from links where id = $1
