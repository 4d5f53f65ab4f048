-- What neither the writer nor the roller makes: a row each, so that every table has data when a schema is upgraded.
insert into alerts (opened_at, closed_at, value, threshold, kind, device, device_kind, detail, closed_because)
values
    ('2026-05-01 11:00+00', '2026-05-01 12:00+00', 0.7, 0.85, 'low_efficiency', 'v-1', 'vehicle', 'ratio 0.7', 'ratio 0.9'),
    ('2026-05-01 11:00+00', null, 600, 600, 'silent_device', 'm-9', 'meter', 'silent for 10 minutes', null);
insert into gateway_subscriptions (client, share_group) values ('\x01', ''), ('\x02', 'fleet');
insert into gateway_beats values (
    '2026-05-01 10:00+00', '2026-05-01 12:00+00', 100, 98, 1, 1, 0, 1.5, 0.1, '\x01', 'host', '0.1.0'
);
