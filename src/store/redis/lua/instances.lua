-- Who is there: every instance says so about once a second.
--
--   seen       id -> when it was last seen; kept when it leaves, since what it had acknowledged may still get lost
--   instances  id -> what it says of itself

local seen, instances = KEYS[1], KEYS[2]
local op, clock, id, row = unpack(cmsgpack.unpack(ARGV[1]))
local LAST = '~' -- stands in both, so that neither is ever missing while a slot migrates
local PEER_MS = 90000 -- who was seen in this time may remember what a store has lost
local PRUNE_MS = 600000 -- who was not seen in this time is forgotten

local now = tonumber(clock)
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local told = {}
local function tell(text)
  told[#told + 1] = string.len(text) .. ':' .. text
end

local function announce()
  redis.call('ZADD', seen, 'inf', LAST)
  redis.call('HSET', instances, LAST, '')
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', '(' .. string.format('%.0f', now - PRUNE_MS))) do
    redis.call('ZREM', seen, old)
    redis.call('HDEL', instances, old)
  end
  redis.call('ZADD', seen, string.format('%.0f', now), id)
  if row ~= '-' then redis.call('HSET', instances, id, row) end
  tell(redis.call('HEXISTS', instances, id) == 1 and 'known' or 'unknown')
  local flat = redis.call('ZRANGEBYSCORE', seen, string.format('%.0f', now - PEER_MS), '(inf', 'WITHSCORES')
  for i = 1, #flat, 2 do
    tell(flat[i])
    tell(string.format('%.0f', math.max(now - tonumber(flat[i + 1]), 0)))
  end
end

local function list()
  local flat = redis.call('HGETALL', instances)
  for i = 1, #flat, 2 do
    local last_seen = flat[i] ~= LAST and redis.call('ZSCORE', seen, flat[i])
    if last_seen then
      tell(last_seen)
      tell(flat[i + 1])
    end
  end
end

if op == 'announce' then
  announce()
elseif op == 'list' then
  list()
else
  redis.call('HDEL', instances, id)
end
return table.concat(told)
