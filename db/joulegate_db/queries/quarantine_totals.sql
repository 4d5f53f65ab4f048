-- What each reason keeps, and what was only counted.
select reason, kept_rows as rows, kept_messages as messages, overflowed from quarantine_totals order by reason
