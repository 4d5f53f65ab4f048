-- retention_baselines
-- Removes up to $3 of the places before the bucket $2 from where a register's computation could begin, from the device $1 on. As presence is.
with old as (
    select rows.place, rows.device
    from (select distinct device from devices where device >= $1 order by device) as known
    cross join lateral (
        select ctid as place, device
        from register_baselines
        where device = known.device and bucket < $2
        limit $3
    ) as rows
    limit $3
),
gone as (
    delete from register_baselines where ctid = any(array(select place from old))
)
select count(*) as removed, max(device) as next from old
