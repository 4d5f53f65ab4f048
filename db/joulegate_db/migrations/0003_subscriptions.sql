-- What each gateway has subscribed at the broker. A session keeps a subscription until it is unsubscribed, and only who knows its
-- form can do that. A row is written before SUBSCRIBE and deleted after UNSUBACK: a crash leaves too many rows, never too few.
-- There are as many rows as gateways.
create table gateway_subscriptions (
    client bytea not null, -- SHA-256 of the client id, which is a secret: who knows it can take the session
    share_group text collate "C" not null, -- empty: the plain form
    primary key (client, share_group)
);
