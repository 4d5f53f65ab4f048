-- Distributes the table $1 by its column $2, co-located with $3 ('default': with whatever is distributed by the same type). What it holds moves.
select create_distributed_table($1::text::regclass, $2, colocate_with => $3)
