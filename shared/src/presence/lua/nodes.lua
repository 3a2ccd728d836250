-- What the living incarnations have reported; what the dead ones reported is forgotten.
--
-- KEYS  1: nodes   2: reports (hash: incarnation -> report)
-- Answers the reports.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reports = redis.call('HGETALL', KEYS[2])
local answer = {}
for i = 1, #reports, 2 do
  local till = tonumber(redis.call('ZSCORE', KEYS[1], reports[i]) or 0)
  if till > now then
    answer[#answer + 1] = reports[i + 1]
  else
    redis.call('HDEL', KEYS[2], reports[i])
  end
end
return answer
