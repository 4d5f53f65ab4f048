-- Forms that are unsubscribed: $1 client, $2 share groups.
delete from gateway_subscriptions where client = $1 and share_group = any($2)
