"""Servers of one's own on this machine: PostgreSQL and an MQTT broker, for `up`, `bench` and the tests."""
