-- How far the fleet's answer can go, and what the 24 h that are kept ready are.
select least(attributed_until, rolled_until) as attributed_until, day_until, day_unattributed
from charging_state, roll_state
