-- Moves the staged vehicle readings into history and the newest of each device into live. Returns how many were new.
-- $1 received_at, $2 this transaction. Rows are locked in the order of their keys, so that two gateways cannot deadlock; of rows with the same
-- key the one that was staged first (the lowest ctid) wins. Late readings mark the closed buckets that they touch.
-- Also run without the arbiter (device, ts), for a batch that is expected to be new (streams.py).
with fresh as (
    insert into vehicle_history (ts, kwh, battery_temp, soc, late, device, charge_point)
    select ts, kwh, battery_temp, soc, late, device, charge_point from stage_vehicle order by device, ts, ctid
    on conflict (device, ts) do nothing
    returning device, ts, charge_point, kwh, battery_temp, soc
),
newest as (
    select distinct on (device) device, ts, charge_point, kwh, battery_temp, soc from fresh order by device, ts desc
),
upserted as (
    insert into vehicle_live as live (ts, received_at, kwh, battery_temp, soc, charging, written, device, charge_point)
    select ts, $1, kwh, battery_temp, soc, kwh > 0, $2, device, charge_point from newest
    on conflict (device) do update
    set (ts, received_at, kwh, battery_temp, soc, charging, written, charge_point)
        = (
            excluded.ts, excluded.received_at, excluded.kwh, excluded.battery_temp, excluded.soc, excluded.charging,
            excluded.written, excluded.charge_point
        )
    where excluded.ts > live.ts
    returning device, live.xmax = 0 as is_new -- xmax is 0 only in a row that this statement inserted
),
registered as (
    insert into devices (device, kind, first_seen)
    select device, 'vehicle', $1 from upserted where is_new
    on conflict (device, kind) do nothing
),
marked as (
    insert into rollup_marks (device, kind, bucket, charge_point)
    select distinct device, 'vehicle', date_bin('15 minutes', ts, timestamptz 'epoch'), charge_point
    from fresh
    where ts < (select closed_until from roll_state)
)
select count(*) from fresh
