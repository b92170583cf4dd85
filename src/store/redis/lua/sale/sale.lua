-- The sale's commands, read and applied in order.

---------------------------------------------------------------- reading

local function take_units()
  local n = take()
  if n == 'bad' then return { bad = 'x invalid ' .. take() } end
  local units, before = {}, at
  at = at + 2 * n
  for i = 1, 2 * n do units[i] = args[before + i] end
  return units
end

-- Takes them all at once: this comes most often.
local function take_reserve(word)
  local i = at
  local hold, replaces, n = args[i + 7], args[i + 8], args[i + 9]
  at = i + 8
  local units = { args[i + 10], args[i + 11] }
  if n == 1 then at = i + 11 else units = take_units() end
  return {
    word = word,
    id = args[i + 1],
    print = args[i + 2],
    caller = args[i + 3],
    room = args[i + 4],
    deadline = args[i + 5],
    buyer = args[i + 6],
    hold = hold ~= '-' and tonumber(string.sub(hold, 2)) or nil,
    replaces = replaces ~= '-' and string.sub(replaces, 2) or nil,
    units = units,
  }
end

-- Those that come seldom.
local readers = part(function(readers)
  local function take_id() return { id = take() } end
  local function take_nothing() return {} end

  function readers.configure() return { makes = take() == 'make', version = num(), born = num(), rules = take() } end
  function readers.consider() return { rules = take() } end
  function readers.delete() return { born = num() } end
  function readers.restock() return { id = take(), sku = take(), delta = num() } end
  function readers.confirm()
    local ask = { id = take(), order = take(), retakes = take() == 'retake' }
    if take() == 'part' then ask.units = take_units() end
    return ask
  end
  function readers.extend() return { id = take(), seconds = num(), key = maybe() } end
  function readers.events() return { after = num(), term = num(), limit = num() } end
  readers.look, readers.paying, readers.release = take_id, take_id, take_id
  readers.tick, readers.rules, readers.items, readers.walk = take_nothing, take_nothing, take_nothing, take_nothing
end)

local commands

local function read_commands()
  if commands then return commands end
  commands = {}
  for i = 1, num() do
    local word = take()
    if word == 'reserve' or word == 'lookup' then
      commands[i] = take_reserve(word)
    else
      commands[i] = readers[word]()
      commands[i].word = word
    end
  end
  return commands
end

---------------------------------------------------------------- what is due

-- The next that are due in a set, at most so many.
local function coming(zset, most)
  local ids, i = {}, zset.cursor
  while #ids < most do
    local next = zset.base[i]
    if next then
      if next[1] > now then break end
      if not zset.hidden[next[2]] then ids[#ids + 1] = next[2] end
      i = i + 1
    elseif zset.over then
      break
    else
      zset:page()
    end
  end
  return ids
end

-- Expires what is due, up to the bound. Whether anything was.
local function expire_due()
  local did = false
  for n = 1, BOUND.expired do
    local id, deadline = shelf.due:first()
    if not id or deadline > now then break end
    if n == 1 then book.gather(coming(shelf.due, BOUND.expired), {}, {}) end
    book.end_hold(id, 'E', 'expired')
    did = true
  end
  return did
end

local function forget_due()
  local did = false
  for n = 1, BOUND.forgotten do
    local id, at_ms = shelf.fading:first()
    if not id or at_ms > now then break end
    if n == 1 then
      local ids = coming(shelf.fading, BOUND.forgotten)
      shelf.restocks:gather(ids)
      book.gather(ids, {}, {})
    end
    book.forget(id)
    did = true
  end
  return did
end

---------------------------------------------------------------- applying

local clockwork = {}

function clockwork.tick()
  local did = expire_due()
  tell('done')
  return did
end

-- Where a command is applied, by a function of its name.
local handlers = {
  configure = operate, consider = operate, restock = operate,
  reserve = reserve, lookup = reserve,
  look = inquiry, rules = listing, items = listing, walk = listing, events = listing,
  paying = resolve, confirm = resolve, release = resolve, extend = resolve,
  tick = clockwork,
}

-- Reads at once what the commands are going to need.
local function gather()
  local ids, skus, buyers = {}, {}, {}
  for _, ask in ipairs(commands) do
    local buyer, units = ask.buyer, ask.units
    if ask.id and ask.word ~= 'restock' then ids[#ids + 1] = ask.id end
    if ask.replaces then ids[#ids + 1] = ask.replaces end
    if buyer and buyer ~= '-' then buyers[#buyers + 1] = buyer end
    for i = 1, units and #units or 0, 2 do skus[#skus + 1] = units[i] end
  end
  book.gather(ids, skus, buyers)
end

-- Applies one command; whether it changed anything.
local function one(ask)
  if ask.word == 'delete' then return operate.delete(ask) end
  if not sale and ask.word ~= 'configure' then
    tell('x unknown_sale')
    return false
  end
  local did = handlers[ask.word][ask.word](ask)
  if did then sale.last = now end
  -- Whoever is told of what is so already remembers it as well: who was told first may be gone.
  local id = ask.id
  local record = id and book.found[id]
  -- What has changed is told of at the end.
  if record and not book.dirty_records[id] then book.tell_fact(id, record) end
  return did
end

function aggregate.apply()
  read_commands()
  local did = false
  if aggregate.exists() then
    did = expire_due()
    did = forget_due() or did
    if did then sale.last = now end
    gather()
  end
  for _, ask in ipairs(commands) do did = one(ask) or did end
  if did then
    if sale then book.finish() end
    book.settle()
    changed = true
  end
  inquiry.finish()
end

function aggregate.exists()
  if not sale then book.load() end
  return sale ~= nil
end

function aggregate.head() return aggregate.exists() and inquiry.figures() or '-' end

-- Its operator deletes a sale that waits for it, and makes it anew.
function aggregate.is_allowed_lost()
  for _, ask in ipairs(read_commands()) do
    if ask.word ~= 'delete' and not ask.makes then return false end
  end
  return #commands > 0
end
aggregate.can_be_lost = true

-- How long a deleted sale is known to have been one.
local GRAVE_MS = 86400000

function aggregate.commit()
  for _, rows in pairs(shelf) do
    if is_new then rows.emptied = true end
    rows:commit()
  end
  staged:commit()
  if is_new or wiped then
    redis.call('UNLINK', events_key)
    -- Empty, but there.
    redis.call('XADD', events_key, 'MAXLEN', '0', '0-1', LAST, '')
  end
  if #fresh > 0 then redis.call('XADD', events_key, fmt(sale.seq) .. '-0', 'e', table.concat(fresh, '\t')) end
  if sale and sale.is_trimmed then redis.call('XTRIM', events_key, 'MINID', fmt(sale.first) .. '-0') end
  if wiped and not sale then
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, fmt(GRAVE_MS)) end
  elseif wiped then
    for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  end
end
