-- Marks who was at which charge point in which bucket. In the order of the primary key: two gateways cannot deadlock.
insert into presence (charge_point, bucket, kind, device)
select charge_point, bucket, kind, device from stage_presence order by charge_point, bucket, kind, device
on conflict do nothing
