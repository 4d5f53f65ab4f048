-- All devices of a kind ($1).
select device from devices where kind = $1 order by device
