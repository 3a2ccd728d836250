-- Some devices of an incarnation, and its end when none is left.
--
-- KEYS  1: nodes   2: unknown   3: the node's devices
-- ARGV  1: incarnation   2: how many   3: 'dead' to end it only if its heartbeat is over, else 'any'
-- Answers the devices; an empty list says that the incarnation is gone, or alive again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local till = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if ARGV[3] == 'dead' and till > now then return {} end
local devices = redis.call('SRANDMEMBER', KEYS[3], ARGV[2])
if #devices == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('SREM', KEYS[2], ARGV[1])
end
return devices
