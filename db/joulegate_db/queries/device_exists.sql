-- Whether a device of this kind was ever seen or declared. $1 device, $2 kind.
select exists (select from devices where device = $1 and kind = $2)
