-- A room as its commands see it: the figures, the positions resolved, the recent past.
--
-- The figures are fields of the header's hash, called as in Rust, those that change most often together in one. Beside them
-- stand, keys 5 to 12:
--
--   claimed     chunk of positions → a bit a position: resolved by its visitor; only where a bit is set
--   left        the positions resolved ahead of the head, so that the line's waiting part costs nothing
--   sessions    position → tag, start, deadline, exchanged, undecided, and until when its call may still be claimed
--   due         the sessions by their deadline
--   undecided   those who have not reserved yet, by the time until which a unit is meant for them
--   calls       the open calls by their last position; the member says all of a call
--   calls_due   the same by their deadline
--   resolved    a call's first position → how many of its positions are resolved: what lapses is not counted bit by bit

local claimed = Hash.new(KEYS[5])
local left = Zset.new(KEYS[6])
local sessions = Hash.new(KEYS[7])
local due = Zset.new(KEYS[8])
local undecided = Zset.new(KEYS[9])
local calls_by_last = Zset.new(KEYS[10])
local calls_due = Zset.new(KEYS[11])
local resolved = Hash.new(KEYS[12])
-- What was told after a loss, and waits for the end of the recovery.
local staged = Hash.new(staged_key)
local OWN = { claimed, left, sessions, due, undecided, calls_by_last, calls_due, resolved, staged }

-- A room that was deleted is known to have been for so long.
local GONE_MS = 86400000

local room -- nil if there is none
local rules -- its settings
local was_gone = main:get('layout') and not main:get('figures')

local state, observed, line = {}, {}, {}
local calls, inside, voids

-- A position as a member of an ordered set: members of one score stand in the order of their bytes.
local function pos16(position) return string.format('%016d', position) end

-- '-' or '=' and a number.
local function optional(text)
  if text == '-' then return nil end
  return tonumber(string.sub(text, 2))
end

local CHUNK_BITS = 2048
local open_chunks = {} -- those of `claimed` that were changed, as bytes

---------------------------------------------------------------- the figures

-- The settings, as a command says them.
function state.rules(text)
  local mode, rate, burst, cap, window, overcall, session, renewal, total, opens, closes, sale, gate = string.match(
    text, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  local it = {
    text = text,
    mode = mode,
    rate = tonumber(rate),
    cap = optional(cap),
    window = tonumber(window),
    overcall = tonumber(overcall),
    session = tonumber(session),
    renewal = renewal == 'yes',
    total = optional(total),
    opens = optional(opens),
    closes = optional(closes),
    sale = sale,
    gate = gate,
  }
  it.ready = tonumber(burst) * BOUND.PERMIT
  -- Where the product is no more exact it is far above its bound.
  it.ceiling = math.min(it.overcall * it.rate * it.window + it.ready, BOUND.CEILING_MAX)
  return it
end

-- A line in which nobody has stood. One that takes another's place begins as far on as that one has jumped.
function state.fresh(version, epoch, new_rules)
  local start = room and math.max(room.tail - room.joins, 0) or 0
  room = {
    version = version, epoch = epoch, last = now, tail = start, head = 0, joins = 0, entered = 0, lapsed = 0, owed = 0,
    credit = new_rules.ready,
  }
  rules = new_rules
  if start > 0 then voids.add(1, start) end
end

-- Nothing of before is left, and nothing told of it.
function state.forget()
  for _, own in ipairs(OWN) do own:clear() end
  open_chunks = {}
  calls.forget()
  facts, fact_at = {}, {}
end

local FIELDS = { 'figures', 'last', 'rules', 'stock', 'bucket', 'past', 'voids', 'owed' }

function state.load()
  local figures = main:get('figures')
  if not figures then return end
  local version, epoch, tail, head, entered, lapsed, credit, joins =
    string.match(figures, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  room = {
    version = tonumber(version),
    epoch = tonumber(epoch),
    last = main:num('last'),
    tail = tonumber(tail),
    head = tonumber(head),
    joins = tonumber(joins),
    entered = tonumber(entered),
    lapsed = tonumber(lapsed),
    credit = tonumber(credit),
  }
  rules = state.rules(main:get('rules'))
  local stock = main:get('stock')
  if stock then
    local born, term, seq, available, held, phase, at = string.match(stock, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
    room.stock = {
      born = tonumber(born),
      term = tonumber(term),
      seq = tonumber(seq),
      available = tonumber(available),
      held = tonumber(held),
      phase = phase,
      at = tonumber(at),
    }
  end
  local bucket = main:get('bucket')
  if bucket then
    local index, stood, moved, entered = string.match(bucket, '^(%d+),(%d+),(%d+),(%d+)$')
    room.bucket = { tonumber(index), tonumber(stood), tonumber(moved), tonumber(entered) }
  end
  room.past = main:get('past') or nil
  room.owed = main:num('owed') or 0
  if main:get('voids') then room.voids = voids.read(main:get('voids')) end
end

function state.stock_line()
  local known = room.stock
  return known and table.concat({
    fmt(known.born), fmt(known.term), fmt(known.seq), fmt(known.available), fmt(known.held), known.phase, fmt(known.at),
  }, ' ')
end

function state.bucket_line()
  local b = room.bucket
  return b and string.format('%d,%d,%d,%d', b[1], b[2], b[3], b[4])
end

-- Puts the figures where the write phase finds them.
function state.save()
  if not room then
    for _, name in ipairs(FIELDS) do main:set(name, false) end
    return
  end
  main:set('figures', digits[room.version] .. ' ' .. digits[room.epoch] .. ' ' .. state.counts() .. ' ' .. digits[room.joins])
  main:put('last', room.last)
  main:set('rules', rules.text)
  main:set('stock', state.stock_line() or false)
  main:set('bucket', state.bucket_line() or false)
  main:set('past', room.past or false)
  main:set('voids', room.voids and voids.write() or false)
  main:set('owed', room.owed > 0 and digits[room.owed] or false)
  state.save_bits()
end

-- What the line counts, as it is written and shown.
function state.counts()
  return digits[room.tail] .. ' ' .. digits[room.head] .. ' ' .. digits[room.entered] .. ' ' .. digits[room.lapsed] .. ' '
    .. digits[room.credit]
end

-- Every answer tells of the line's ends, whoever moved them: an instance shows them to all.
function state.tell()
  fact('s', digits[room.epoch] .. ' ' .. digits[room.tail] .. ' ' .. digits[room.head] .. ' ' .. digits[room.joins] .. ' '
    .. digits[room.entered])
  if room.voids then fact('v', fmt(room.epoch) .. ' ' .. voids.write()) end
end

---------------------------------------------------------------- one bit a position

-- Whether the position is resolved by its visitor.
function state.is_resolved(position)
  local index, offset = div(position, CHUNK_BITS), position % CHUNK_BITS
  local byte, mask = div(offset, 8) + 1, bit.lshift(1, offset % 8)
  local bytes = open_chunks[index]
  if bytes then return bit.band(bytes[byte], mask) ~= 0 end
  local chunk = claimed:get(fmt(index))
  return chunk and bit.band(string.byte(chunk, byte), mask) ~= 0
end

-- Marks the position as resolved.
function state.resolve(position)
  local index, offset = div(position, CHUNK_BITS), position % CHUNK_BITS
  local bytes = open_chunks[index]
  if not bytes then
    bytes = { string.byte(claimed:get(fmt(index)) or string.rep('\0', CHUNK_BITS / 8), 1, -1) }
    open_chunks[index] = bytes
  end
  local byte = div(offset, 8) + 1
  bytes[byte] = bit.bor(bytes[byte], bit.lshift(1, offset % 8))
end

function state.save_bits()
  for index, bytes in pairs(open_chunks) do claimed:set(fmt(index), string.char(unpack(bytes))) end
end

---------------------------------------------------------------- the recent past

-- The bucket of now is kept apart from those before it, which nobody needs to read here.
function observed.at_now()
  local index = div(now, BOUND.BUCKET_MS)
  local bucket = room.bucket
  if bucket and bucket[1] == index then return bucket end
  local oldest = math.max(index + 1 - BOUND.BUCKETS, 0)
  local past = {}
  if room.past then past = words(room.past) end
  if bucket then past[#past + 1] = state.bucket_line() end
  local first = 1
  while past[first] and tonumber(string.match(past[first], '^%d+')) < oldest do first = first + 1 end
  room.past = past[first] and table.concat(past, ' ', first)
  room.bucket = { index, 0, 0, 0 }
  return room.bucket
end

-- A line stood for so long.
function observed.stood(ms)
  local stood = math.min(ms, BOUND.BUCKETS * BOUND.BUCKET_MS)
  if stood > 0 then
    local bucket = observed.at_now()
    bucket[2] = bucket[2] + stood
  end
end

-- The head of a standing line moved.
function observed.moved(positions)
  if positions > 0 then
    local bucket = observed.at_now()
    bucket[3] = bucket[3] + positions
  end
end

-- A visitor entered.
function observed.entered()
  local bucket = observed.at_now()
  bucket[4] = bucket[4] + 1
end

-- The rate has changed: how the line moved says nothing any more.
function observed.forget_moves()
  if room.bucket then room.bucket[2], room.bucket[3] = 0, 0 end
  if room.past then room.past = string.gsub(room.past, ',%d+,%d+,', ',0,0,') end
end

---------------------------------------------------------------- the void

-- Ranges that the tail has jumped over: see the recovery. They are few, and most rooms have none.
voids = part(function(voids)
  function voids.read(text)
    local list = {}
    for first, last in string.gmatch(text, '(%d+)-(%d+)') do list[#list + 1] = { tonumber(first), tonumber(last) } end
    return list
  end

  function voids.write()
    local parts = {}
    for i, void in ipairs(room.voids) do parts[i] = fmt(void[1]) .. '-' .. fmt(void[2]) end
    return table.concat(parts, ',')
  end

  -- The one that holds the position.
  function voids.of(position)
    for _, void in ipairs(room.voids or {}) do
      if void[1] <= position and position <= void[2] then return void end
    end
    return nil
  end

  -- The first that begins after the position.
  function voids.after(position)
    for _, void in ipairs(room.voids or {}) do
      if void[1] > position then return void end
    end
    return nil
  end

  -- How many positions of a range lie in one.
  function voids.count(first, last)
    local sum = 0
    for _, void in ipairs(room.voids or {}) do
      sum = sum + math.max(math.min(void[2], last) + 1 - math.max(void[1], first), 0)
    end
    return sum
  end

  -- Adds one behind all others, unless it is empty.
  local function append(list, first, last)
    local before = list[#list]
    if first > last then return end
    if before and before[2] + 1 == first then
      before[2] = last
    else
      list[#list + 1] = { first, last }
    end
  end

  -- Adds what is not known of one; those that touch become one. Of too many the oldest are forgotten.
  function voids.add(first, last)
    local list = {}
    for _, known in ipairs(room.voids or {}) do
      append(list, first, math.min(last, known[1] - 1))
      append(list, known[1], known[2])
      first = math.max(first, known[2] + 1)
    end
    append(list, first, last)
    while #list > BOUND.VOIDS_MAX do table.remove(list, 1) end
    room.voids = list[1] and list
  end

  -- Forgets what lies at or before the position.
  function voids.cut(position)
    local rest = {}
    for _, void in ipairs(room.voids or {}) do
      if void[2] > position then rest[#rest + 1] = void end
    end
    if rest[1] then rest[1][1] = math.max(rest[1][1], position + 1) end
    room.voids = rest[1] and rest
  end
end)

state.load()
