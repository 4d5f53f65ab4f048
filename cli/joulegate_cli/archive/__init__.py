"""`joulegate archive`: days of history as Parquet files. Needs the extra `archive` (pyarrow)."""
