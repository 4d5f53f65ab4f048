-- Ends a binding: $1 kind, $2 device. Returns where it was bound to.
delete from bindings where kind = $1 and device = $2 returning charge_point
