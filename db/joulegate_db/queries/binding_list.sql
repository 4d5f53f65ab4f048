-- All bindings, or those of one kind ($1, null: both), in order.
select kind, device, charge_point from bindings where $1::text is null or kind = $1 order by kind, device
