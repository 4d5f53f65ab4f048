-- The histories as plain tables: the same columns, primary key and block range index, no partitions.
drop table if exists plain_meter, plain_vehicle;
create table plain_meter (like meter_history including all);
create table plain_vehicle (like vehicle_history including all);
