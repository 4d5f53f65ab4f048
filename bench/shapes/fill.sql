-- Fills `shape` minute by minute, each minute's rows in the order of their keys; $COLUMNS are the shape's, $KEY is its device.
create procedure fill() language plpgsql as $fill$
begin
    for m in 0..1439 loop
        insert into shape ($COLUMNS) select $COLUMNS from source where minute = m order by $KEY, ts;
        commit;
    end loop;
end
$fill$;
