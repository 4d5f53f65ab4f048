delete from stage_meter
