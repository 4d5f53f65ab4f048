-- What lets an answer be summed in one statement (queries/performance_plain.sql, docs/adr/0007).

-- A row of charging_15m is plain when the vehicle was at one charge point, no other vehicle was there, no link gave it AC, and one meter at
-- most reported there: then charge_point and meter say where and which, and the row holds all that an answer needs. Not plain, and what was
-- attributed before this migration: charge_point is null.
alter table charging_15m
    add column gap double precision, -- seconds without readings, between the vehicle's readings of this bucket
    add column first_ts timestamptz,
    add column last_ts timestamptz,
    add column late integer, -- readings of both streams that arrived late
    add column charge_point text collate "C",
    add column meter text collate "C"; -- null: none reported

alter table charging_15m drop constraint charging_15m_pkey;
alter table charging_15m add primary key (vehicle, bucket)
include (
    ac, dc, temperatures, vehicle_readings, meter_readings, events, pairing, paired,
    gap, first_ts, last_ts, late, charge_point, meter
);

-- Marks say where: an answer is plain only while nothing waits at the charge points that it is about. '': anywhere.
alter table rollup_marks add column charge_point text collate "C" not null default '';
create index rollup_marks_by_place on rollup_marks (charge_point, bucket);
create index charging_marks_by_place on charging_marks (charge_point, bucket);

-- Which of a few devices are registers: asked with every answer, so not by reading their rows.
create index devices_registers on devices (device) where energy = 'register';
