delete from stage_vehicle
