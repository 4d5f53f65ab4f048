-- Vehicles without anything in the 24 h have no row; attribution gives them one when they come back.
delete from charging_24h where vehicle_readings = 0 and meter_readings = 0 and not stale
