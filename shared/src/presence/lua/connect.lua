-- Registers one device.
--
-- KEYS  1: nodes   2: unknown   3: born   4: the node's devices   5: the user's devices (hash: connection -> incarnation)
-- ARGV  1: incarnation   2: lease, ms   3: connection   4: the device as the node's devices name it
-- Answers 1 if the user came online with it, else 0.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = {}
local online = 0
local devices = redis.call('HVALS', KEYS[5])
for _, node in ipairs(devices) do
  if alive[node] == nil then
    local till = redis.call('ZSCORE', KEYS[1], node)
    alive[node] = till and tonumber(till) > now or false
  end
  if alive[node] then online = 1 break end
end
local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not till or tonumber(till) <= now then
  -- The node's lease was lost; the device counts, and the node's next heartbeat tells it to register the others.
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('SET', KEYS[3], now, 'NX')
end
redis.call('SADD', KEYS[4], ARGV[4])
redis.call('HSET', KEYS[5], ARGV[3], ARGV[1])
return 1 - online
