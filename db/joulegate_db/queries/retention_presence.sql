-- retention_presence
-- Removes up to $3 rows of presence of the buckets before $2, from the charge point $1 on. Charge points are looked up one after the other in the
-- primary key, which leads with them: what stays is not read. Returns how many went, and at which charge point to go on.
with recursive points as (
    (select charge_point from presence where charge_point >= $1 order by charge_point limit 1)
    union all
    select (select charge_point from presence where charge_point > points.charge_point order by charge_point limit 1)
    from points
    where points.charge_point is not null
),
old as (
    select rows.place, rows.charge_point
    from points
    cross join lateral (
        select ctid as place, charge_point
        from presence
        where charge_point = points.charge_point and bucket < $2
        limit $3
    ) as rows
    limit $3
),
gone as (
    delete from presence where ctid = any(array(select place from old))
)
select count(*) as removed, max(charge_point) as next from old
