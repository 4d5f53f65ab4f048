-- Which transaction wrote a live row or an alert last: the order by which /v1/stream resumes (joulegate_db/changes.py). The system's own xmin says
-- as much on one server only; where live rows are distributed (docs/adr/0008) this is the coordinator's transaction, on whichever node the row is.
-- What is there already counts as written by this migration: one value in the catalog, no table is rewritten. The default is for who inserts and
-- does not say: who opens alerts, and gateways of the version before.
alter table meter_live add column written xid8 not null default pg_current_xact_id();
alter table vehicle_live add column written xid8 not null default pg_current_xact_id();
alter table alerts add column written xid8 not null default pg_current_xact_id();
