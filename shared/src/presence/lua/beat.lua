-- Keeps a node alive in one partition.
--
-- KEYS  1: nodes (sorted set: incarnation -> end of its heartbeat, ms of this server)
--       2: unknown (set: incarnations whose lease came with a device)   3: born
-- ARGV  1: incarnation   2: lease, ms
-- Answers 1 if the node was known and alive, 0 if it has to register its devices again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
local unknown = redis.call('SREM', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], now, 'NX')
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if till and tonumber(till) > now and unknown == 0 then return 1 end
return 0
