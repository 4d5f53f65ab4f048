-- The forms that the client $1 may have subscribed.
select share_group from gateway_subscriptions where client = $1
