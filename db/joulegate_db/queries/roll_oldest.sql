-- The first reading of all. Scans history: asked once, before the first roll.
select least((select min(ts) from meter_history), (select min(ts) from vehicle_history))
