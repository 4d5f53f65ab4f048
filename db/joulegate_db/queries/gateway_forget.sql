-- A gateway that has left for good, $1; and those that nobody has heard of for a month.
delete from gateway_beats where client = $1 or beat_at < now() - interval '30 days'
