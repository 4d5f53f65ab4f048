-- A day of $PAIRS meters: text ids of 14 and 15 characters, as an operator gives them, and numbers for the shapes that have them.
create table source as
select
    minute,
    timestamptz '2026-01-01 00:00:00+00' + minute * interval '1 minute' + device_no * interval '10 milliseconds' as ts,
    0.1 + (device_no * 7 + minute) % 100 / 1000.0::double precision as kwh,
    (229.5 + device_no % 5)::real as voltage,
    false as late,
    ('meter-' || lpad(to_hex(hashint4(device_no)::bigint & 4294967295), 8, '0')) collate "C" as device,
    ('site-' || lpad((device_no / 20)::text, 4, '0') || '.cp-' || lpad((device_no % 20)::text, 2, '0')) collate "C" as charge_point,
    hashint4(device_no) as device_no,
    device_no as place_no
from generate_series(0, 1439) as minute, generate_series(1, $PAIRS) as device_no;
create index on source (minute);
vacuum analyze source;
