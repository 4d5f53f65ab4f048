-- Candidates of long ago are of no use any more.
delete from place_turns where bucket < (select rolled_until from roll_state) - interval '1 day'
