-- How many users of one partition have devices.
--
-- KEYS  1: that number
return math.max(tonumber(redis.call('GET', KEYS[1]) or 0), 0)
