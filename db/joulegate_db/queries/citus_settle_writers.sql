select settle_writers()
