-- Where devices may report from, and devices that report from two charge points at once.

-- A device that is bound is accepted at this charge point only. What others have declared about a device is in `devices`.
create table bindings (
    bound_at timestamptz not null default now(),
    device text collate "C" not null,
    kind text collate "C" not null check (kind in ('meter', 'vehicle')),
    charge_point text collate "C" not null,
    primary key (device, kind)
);

-- One row: raised by every statement that changes a binding, so that gateways need not read them all to see that nothing has changed.
create table bindings_version (
    one boolean primary key default true check (one),
    version bigint not null default 0
);
insert into bindings_version default values;

create function bindings_changed() returns trigger language plpgsql as $$
begin
    update public.bindings_version set version = version + 1;
    return null;
end
$$;
create trigger bindings_changed after insert or update or delete or truncate on bindings
for each statement execute function bindings_changed();

-- A device with readings from more than one charge point in a bucket: it moved, or it is two. `returns` says how often it came back to a place within
-- five intervals although it had been elsewhere meanwhile; null until the roller has counted, from history.
create table place_turns (
    bucket timestamptz not null,
    returns integer,
    places text, -- two of them
    device text collate "C" not null,
    kind text collate "C" not null,
    primary key (device, kind, bucket)
);
create index place_turns_by_bucket on place_turns (bucket);

-- Candidates for the above: they cost the roller a pass over what it has just computed, and the way of a reading nothing.
create function place_turns_note() returns trigger language plpgsql as $$
begin
    insert into public.place_turns (bucket, device, kind)
    select bucket, device, tg_argv[0] from touched group by bucket, device having min(charge_point) <> max(charge_point)
    on conflict (device, kind, bucket) do update set returns = null;
    return null;
end
$$;
create trigger place_turns_inserted after insert on meter_rollup_15m
referencing new table as touched for each statement execute function place_turns_note('meter');
create trigger place_turns_updated after update on meter_rollup_15m
referencing new table as touched for each statement execute function place_turns_note('meter');
create trigger place_turns_inserted after insert on vehicle_rollup_15m
referencing new table as touched for each statement execute function place_turns_note('vehicle');
create trigger place_turns_updated after update on vehicle_rollup_15m
referencing new table as touched for each statement execute function place_turns_note('vehicle');

alter table alerts drop constraint alerts_kind_check;
alter table alerts add constraint alerts_kind_check
check (kind in ('low_efficiency', 'implausible', 'register_reset', 'silent_device', 'two_places'));
