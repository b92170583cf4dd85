-- What the scripts of rooms and sales begin with: arguments, clock, the overlay that commands see, the one write phase.
--
-- A script reads through the overlay and decides in it; nothing is written before everything is decided. So what can go
-- wrong strikes before the first write, and a batch is applied whole or not at all, though Lua does not roll back.
--
-- All numbers are integers below 2^53, which a double holds exactly. They are written by fmt() and never by tostring(),
-- which keeps 14 digits. That takes a server of 64 bits, which the start-up checks demand.
--
-- Redis runs a script from its first line at every call, so what stands here is paid for every time: a function costs most
-- where it refers to many locals of the chunk around it, for each of which the interpreter walks a list of them. Hence all
-- that follows this prelude is wrapped in one function, whose inner ones take over its references; and what few calls need
-- is a part().

local LAYOUT = '3'
local NEVER = 9007199254740992 -- 2^53: above every number there is
local LAST = '~' -- the member that every key but the header holds, so that no key is ever missing; it sorts last

-- A number's digits: digits[n]. Writing a number costs more than anything else here that is done often, and the same ones
-- come again and again.
local digits = setmetatable({ [0] = '0' }, { -- 0 from the start, so that -0, which is equal to it, is never written
  __index = function(all, n)
    local text = string.format('%d', n)
    all[n] = text
    return text
  end,
})
local function fmt(n) return digits[n] end

-- Functions of few calls: made when one of them is first asked for.
local UNMADE = {
  __index = function(it, name)
    setmetatable(it, nil)
    it[1](it)
    return it[name]
  end,
}
local function part(make) return setmetatable({ make }, UNMADE) end

-- Arguments come in one list, and are taken one after the other.
local args, at = cmsgpack.unpack(ARGV[1]), 0
local function take()
  at = at + 1
  return args[at]
end
local function num()
  at = at + 1
  return tonumber(args[at])
end
-- '-' stands for none, and what is there stands behind a '='.
local function maybe()
  local text = take()
  if text == '-' then return nil end
  return string.sub(text, 2)
end
local function maybe_num()
  local text = maybe()
  return text and tonumber(text)
end

-- Integer division: exact, because floor of a quotient of integers below 2^53 is off by no rounding where the quotient is
-- computed with its remainder.
local function div(a, b) return (a - a % b) / b end

-- Splits a line into its words.
local function words(text)
  local list, n = {}, 0
  for word in string.gmatch(text, '%S+') do
    n = n + 1
    list[n] = word
  end
  return list
end

local PIECE = 1000 -- of a list: what a stack can hold

---------------------------------------------------------------- a hash, as the commands see it

local Hash = {}
Hash.__index = Hash

function Hash.new(key) return setmetatable({ key = key, known = {}, changed = {} }, Hash) end

-- Reads all fields at once; what is not there then is not there.
function Hash:load()
  local flat = redis.call('HGETALL', self.key)
  for i = 1, #flat, 2 do self.known[flat[i]] = flat[i + 1] end
  self.whole = true
end

-- Reads these fields at once, so that get() finds them.
function Hash:gather(fields)
  if self.whole then return end
  local known, ask, n = self.known, {}, 0
  for i = 1, #fields do
    local field = fields[i]
    if known[field] == nil then
      n = n + 1
      ask[n] = field
      known[field] = false -- asked for once
    end
  end
  for first = 1, n, PIECE do
    local last = math.min(first + PIECE - 1, n)
    local values = redis.call('HMGET', self.key, unpack(ask, first, last))
    for i = first, last do known[ask[i]] = values[i - first + 1] end
  end
end

-- The value of a field; false if there is none.
function Hash:get(field)
  local value = self.known[field]
  if value == nil then
    value = not self.whole and redis.call('HGET', self.key, field)
    self.known[field] = value
  end
  return value
end

function Hash:num(field)
  local value = self:get(field)
  return value and tonumber(value)
end

-- Sets a field to a text; false takes it away.
function Hash:set(field, value)
  local known = self.known
  local was = known[field]
  if was == nil and self.whole then was = false end
  if was ~= value then
    known[field] = value
    self.changed[field] = true
  end
end

function Hash:put(field, n) self:set(field, fmt(n)) end

-- Takes out all there is.
function Hash:clear() self.known, self.changed, self.whole, self.emptied = {}, {}, true, true end

-- Writes a command for each piece of a list.
local function write_pieces(command, key, list, n)
  for first = 1, n, PIECE do redis.call(command, key, unpack(list, first, math.min(first + PIECE - 1, n))) end
end

function Hash:commit()
  if self.emptied then
    redis.call('UNLINK', self.key)
    redis.call('HSET', self.key, LAST, '')
  end
  if next(self.changed) == nil then return end
  local known, set, n, del, m = self.known, {}, 0, {}, 0
  for field in pairs(self.changed) do
    local value = known[field]
    if value then
      set[n + 1], set[n + 2] = field, value
      n = n + 2
    else
      m = m + 1
      del[m] = field
    end
  end
  write_pieces('HSET', self.key, set, n)
  write_pieces('HDEL', self.key, del, m)
end

---------------------------------------------------------------- an ordered set, as the commands see it

-- Ordered by score, then by the bytes of the member: positions stand in it with leading zeros, ids as hex of one length.
-- Every such key holds the member LAST, which is never seen.
local Zset = {}
Zset.__index = Zset
local PAGE = 64 -- at most; the first is of one, since most often nothing is due

Zset.cursor, Zset.read, Zset.step, Zset.less = 1, 0, 1, 0 -- of a new one

function Zset.new(key) return setmetatable({ key = key, base = {}, hidden = {}, scores = {} }, Zset) end

local function before(score, member, other_score, other_member)
  return score < other_score or (score == other_score and member < other_member)
end

-- Reads the next page of what is stored.
function Zset:page()
  local flat = redis.call('ZRANGE', self.key, self.read, self.read + self.step - 1, 'WITHSCORES')
  -- A key that does not exist has not even LAST.
  self.over = #flat < 2 * self.step or flat[#flat - 1] == LAST
  for i = 1, #flat, 2 do
    if flat[i] ~= LAST then self.base[#self.base + 1] = { tonumber(flat[i + 1]), flat[i] } end
  end
  self.read = self.read + self.step
  self.step = math.min(8 * self.step, PAGE)
end

-- The first member and its score; nil if there is none.
function Zset:first()
  while true do
    local next = self.base[self.cursor]
    if next and self.hidden[next[2]] then
      self.cursor = self.cursor + 1
    elseif not next and not self.over then
      self:page()
    else
      local own = self:least_added()
      local score = own and self.scores[own]
      if own and (not next or before(score, own, next[1], next[2])) then return own, score end
      if next then return next[2], next[1] end
      return nil
    end
  end
end

-- The first of those added: known all along, unless it was the one that was taken out.
function Zset:least_added()
  if not self.least then
    for member, score in pairs(self.scores) do
      if not self.least or before(score, member, self.scores[self.least], self.least) then self.least = member end
    end
  end
  return self.least
end

-- Takes out a member that is in it.
function Zset:remove(member)
  self.scores[member] = nil
  if self.least == member then self.least = nil end
  self.hidden[member] = true
  self.less = self.less + 1
end

-- Adds a member that is not in it.
function Zset:add(score, member)
  local scores, least = self.scores, self.least or self:least_added()
  if not least or before(score, member, scores[least], least) then self.least = member end
  scores[member] = score
  self.hidden[member] = true
  self.less = self.less - 1
end

function Zset:count()
  if not self.size then self.size = self.over and #self.base or math.max(redis.call('ZCARD', self.key) - 1, 0) end
  return self.size - self.less
end

-- Takes out all there is.
function Zset:clear()
  self.base, self.cursor, self.over, self.hidden, self.scores = {}, 1, true, {}, {}
  self.size, self.less, self.least, self.emptied = 0, 0, nil, true
end

-- Whether it is in the set, by its score.
function Zset:score(member)
  if self.scores[member] then return self.scores[member] end
  if self.hidden[member] or self.emptied then return nil end
  local score = redis.call('ZSCORE', self.key, member)
  return score and tonumber(score)
end

function Zset:commit()
  if self.emptied then
    redis.call('UNLINK', self.key)
    redis.call('ZADD', self.key, 'inf', LAST)
  end
  if next(self.hidden) == nil then return end
  local scores, set, n, del, m = self.scores, {}, 0, {}, 0
  for member in pairs(self.hidden) do
    local score = scores[member]
    if score then
      set[n + 1], set[n + 2] = digits[score], member
      n = n + 2
    else
      m = m + 1
      del[m] = member
    end
  end
  write_pieces('ZADD', self.key, set, n)
  write_pieces('ZREM', self.key, del, m)
end

---------------------------------------------------------------- who asks, and for what

local op = take() -- batch, replay, done, leave
local clock = take() -- the time, in tests; empty otherwise
local instance = take()
local number = num() -- of the batch
local met = num() -- the highest term the sender ever met; 0 if none
local seen_made = take() -- the name of the term it is in; '-' if none. In a replay: the one it began to replay into
local reckoned = num() -- what the sender reckons the aggregate's time to be; 0 if it does not know
local floor = num() -- the latest time that the sender was told: nobody is told of an earlier one after it
local adopt = take() == 'adopt' -- the sender has found no server but this, though it lags behind what it saw

-- Header and state of the aggregate.
local main = Hash.new(KEYS[1])
main:load()
local sent_key, seen_key, staged_key = KEYS[2], KEYS[3], KEYS[4]

local told = {} -- the outcomes' lines
-- Rows that changed, a line each: the sender keeps them to tell them again after a loss. `fact_at` says where a key's stands.
local facts, fact_at = {}, {}
local changed = false
local is_new = false -- whether the aggregate is made by this call, and its keys with it
local now

local function tell(...) told[#told + 1] = table.concat({ ... }, ' ') end

-- Where the line of a row is to stand among those told of.
local function fact_place(key)
  local place = fact_at[key]
  if not place then
    place = #facts + 1
    facts[place], fact_at[key] = key, place
  end
  return place
end

-- Tells of a row.
local function fact(key, value) facts[fact_place(key)] = key .. ' ' .. value end

-- What the script's own part defines: see the gate.
local aggregate = {}
