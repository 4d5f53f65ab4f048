-- What this transaction changed in the rollups, left by each statement that does: what is to be attributed anew follows from it
-- (rollup_touched_mark.sql). ON COMMIT DELETE ROWS, as the writer's staging. Former versions have no such table: for them triggers do the same.
create temporary table if not exists rollup_touched (
    bucket timestamptz not null,
    kind text collate "C" not null,
    device text collate "C" not null,
    charge_point text collate "C" not null,
    linked_vehicle text collate "C" not null default ''
) on commit delete rows
