-- A form that is about to be subscribed: $1 client, $2 share group.
insert into gateway_subscriptions (client, share_group) values ($1, $2) on conflict do nothing
