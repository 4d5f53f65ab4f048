-- roll_begun
-- Whether anything was ever closed, or there is something to close.
select closed_until > 'epoch' or exists (select from meter_history) or exists (select from vehicle_history) from roll_state
