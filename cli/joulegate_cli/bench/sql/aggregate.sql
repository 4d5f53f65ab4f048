-- The baseline of rolling: both streams of [$1, $2) are read and summed by device and charge point; nothing is written.
select
    (select count(*) from (
        select device, charge_point, sum(kwh), count(*) from meter_history where ts >= $1 and ts < $2 group by device, charge_point
    ) as meters)
    + (select count(*) from (
        select device, charge_point, sum(kwh), sum(battery_temp), min(ts), max(ts), count(*)
        from vehicle_history
        where ts >= $1 and ts < $2
        group by device, charge_point
    ) as vehicles)
