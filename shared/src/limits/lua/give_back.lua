-- Gives one place back.
--
-- KEYS  1: the window
-- ARGV  1: token
return redis.call('ZREM', KEYS[1], ARGV[1])
