-- What each reason keeps.
select reason, kept_rows, kept_octets from quarantine_totals
