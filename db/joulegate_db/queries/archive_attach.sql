-- archive_attach
-- Makes a table a day of history. The bounds carry an explicit UTC offset.
alter table public.$PARENT attach partition public.$TABLE for values from ('$SINCE 00:00:00+00') to ('$UNTIL 00:00:00+00')
