-- One device has gone and is about to be taken back.
--
-- KEYS  1: the user's connections that are not leaving
-- ARGV  1: connection
return redis.call('ZREM', KEYS[1], ARGV[1])
