-- The catalog as Redis keeps it: documents and deletions that it never looks into, and what they are as of. Everything is
-- decided by who writes: a write is taken if its writer knows the latest, and nothing of it otherwise.
--
--   main    layout, revision, its token, the highest epoch of deleted rooms
--   docs    name -> document
--   gone    name -> the version at which it was deleted
--   log     name -> the revision at which it last changed here
--   tokens  token -> revision: a sender whose token is among them is only late; any other remembers something else

local main, docs, gone, log, tokens = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local LAYOUT = '1'
local LAST = '~' -- stands in every key, so that none is ever missing while a slot migrates

local args, at = cmsgpack.unpack(ARGV[1]), 0
local function take()
  at = at + 1
  return args[at]
end

local told = {}
local function tell(text)
  told[#told + 1] = string.len(text) .. ':' .. text
end

local head = redis.call('HMGET', main, 'layout', 'revision', 'token', 'retired')
if head[1] and head[1] ~= LAYOUT then return redis.error_reply('LAYOUT ' .. head[1]) end
local revision, token, retired = head[2] or '0', head[3] or '-', head[4] or '0'
local known, known_token = take(), take()
local next, next_token, next_retired = take(), take(), take()
local oldest, count = take(), tonumber(take())

-- Takes what is to be written, and writes.
local function write()
  redis.call('HSET', main, 'layout', LAYOUT, 'revision', next, 'token', next_token, 'retired', next_retired)
  redis.call('HSET', docs, LAST, '')
  for _, key in ipairs({ gone, log, tokens }) do redis.call('ZADD', key, 'inf', LAST) end
  redis.call('ZADD', tokens, next, next_token)
  redis.call('ZREMRANGEBYSCORE', tokens, '-inf', '(' .. oldest)
  for _ = 1, count do
    local what, name, value = take(), take(), take()
    if what == 'doc' then
      redis.call('HSET', docs, name, value)
      redis.call('ZREM', gone, name)
      redis.call('ZADD', log, next, name)
    elseif what == 'gone' then
      redis.call('HDEL', docs, name)
      redis.call('ZADD', gone, value, name)
      redis.call('ZADD', log, next, name)
    else
      redis.call('ZREM', gone, name)
      redis.call('ZREM', log, name)
    end
  end
end

local function tell_head(word)
  tell(word)
  tell(revision)
  tell(token)
  tell(retired)
end

-- What has changed since the sender looked.
local function tell_news()
  tell_head('news')
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', log, '(' .. known, '(inf')) do
    local document = redis.call('HGET', docs, name)
    local version = not document and redis.call('ZSCORE', gone, name)
    if document or version then
      tell(document and 'doc' or 'gone')
      tell(name)
      tell(document or version)
    end
  end
end

local function tell_all()
  tell_head('all')
  local flat = redis.call('HGETALL', docs)
  for i = 1, #flat, 2 do
    if flat[i] ~= LAST then
      tell('doc')
      tell(flat[i])
      tell(flat[i + 1])
    end
  end
  flat = redis.call('ZRANGEBYSCORE', gone, '-inf', '(inf', 'WITHSCORES')
  for i = 1, #flat, 2 do
    tell('gone')
    tell(flat[i])
    tell(flat[i + 1])
  end
end

local function is_late()
  local seen = tonumber(known) < tonumber(revision) and redis.call('ZSCORE', tokens, known_token)
  return seen and tonumber(seen) == tonumber(known)
end

if known == revision and known_token == token then
  if next ~= '-' then write() end
  tell('same')
elseif is_late() then
  tell_news()
else
  tell_all()
end
return table.concat(told)
