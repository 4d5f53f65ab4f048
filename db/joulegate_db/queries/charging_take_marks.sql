-- Takes up to $1 marks, oldest buckets first, so that charging_state.attributed_until can follow.
with taken as (
    delete from charging_marks
    where ctid in (select ctid from charging_marks order by bucket limit $1)
    returning bucket, charge_point, vehicle
)
select distinct bucket, charge_point, vehicle from taken order by bucket, charge_point, vehicle
