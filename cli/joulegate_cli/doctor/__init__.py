"""`joulegate doctor`: looks at database, broker, gateway and fleet, and says what to do."""
