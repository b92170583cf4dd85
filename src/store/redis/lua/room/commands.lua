-- The commands of a room.

-- How many words each command has after its own; those whose first words name a session are read ahead.
local WORDS = {
  configure = 15, delete = 1, reset = 0, tick = 0, join = 1, claim = 3, admit = 1, look = 2, exchange = 4, check = 4,
  renew = 3, finish = 3, leave = 2, set_stock = 8, forget_stock = 0,
}
local NAMES_SESSION = { exchange = true, check = true, renew = true, finish = true }

local command = {}

local function refuse(why) tell('refused', why) end

local function tell_live(member, live)
  tell('live', fmt(room.epoch), fmt(tonumber(member)), live.tag, fmt(live.start), fmt(live.deadline), fmt(live.exchanged))
end

---------------------------------------------------------------- places

-- Whether so many more positions can be issued.
local function has_room_for(count) return room.tail + count <= BOUND.POSITION_MAX end

-- Takes a signed place as ours; says why not. A number above the tail was issued and forgotten: it raises the tail, so
-- that nobody else gets it.
local function honour(epoch, position)
  if epoch < room.epoch then return 'reset' end
  local above = math.max(position - room.tail, 0)
  if epoch > room.epoch or position == 0 or above > BOUND.TAIL_RAISE_MAX or not has_room_for(above) then return 'not_issued' end
  if above > 0 then line.change(function() room.tail = position end) end
  return nil
end

-- Where a position up to the tail stands, after the tick; with the session or call it has.
local function standing(position)
  if state.is_resolved(position) then
    local live = inside.get(pos16(position))
    if live then return 'inside', live end
    return 'over'
  end
  if position > room.head then return 'waiting' end
  local call = calls.of(position)
  if call then return 'called', call end
  return voids.of(position) and 'passed' or 'lapsed'
end

-- A visitor goes in, called or let in past the line: the position is claimed and a session starts.
local function enter(position, tag, exchanged, call)
  room.entered = room.entered + 1
  state.resolve(position)
  observed.entered()
  local deadline = now + rules.session
  local live = { tag = tag, start = now, deadline = deadline, exchanged = exchanged, claimable = call and call.deadline or 0 }
  if rules.gate ~= 'off' then live.undecided = deadline end
  local member = pos16(position)
  inside.start(member, live)
  return member, live
end

function command.join()
  local count = num()
  if line.phase(now) == 'closed' or not has_room_for(count) then return refuse('closed') end
  local first = room.tail + 1
  if count > 0 then
    line.change(function()
      room.tail = room.tail + count
      observed.joined(count)
    end)
  end
  tell('joined', fmt(room.epoch), fmt(first), fmt(count))
end

-- The store has forgotten that this position was issued, and the head has passed it: its visitor goes in by the next
-- permit, which is kept for it.
local function enter_from_void(position, tag)
  local phase = line.phase(now)
  local is_free = phase == 'free'
  if is_free or (phase == 'running' and line.callable_by_all(line.credit_now()) > 0) then
    local member, live
    line.change(function()
      if not is_free then room.credit = room.credit - BOUND.PERMIT end
      -- It was passed over as one that lapsed, or is counted among those who entered by somebody's word.
      local counter = room.lapsed > 0 and 'lapsed' or 'entered'
      room[counter] = room[counter] - 1
      member, live = enter(position, tag, 0)
    end)
    return tell_live(member, live)
  end
  if phase == 'running' and now + BOUND.OWED_REFRESH_MS >= room.owed then
    line.change(function() room.owed = now + BOUND.OWED_MS end)
  end
  tell('waiting', '0')
end

function command.claim()
  local epoch, position, tag = num(), num(), take()
  local why = honour(epoch, position)
  if why then return refuse(why) end
  local where, what = standing(position)
  if where == 'waiting' then
    tell('waiting', fmt(position - room.head - 1))
  elseif where == 'called' then
    local member, live
    line.change(function()
      calls.note_resolved(what, 1)
      member, live = enter(position, tag, 0, what)
    end)
    tell_live(member, live)
  elseif where == 'inside' then
    -- Who is told of it has to remember it, though another may have heard of it first.
    inside.tell(pos16(position))
    tell_live(pos16(position), what)
  elseif where == 'passed' then
    enter_from_void(position, tag)
  else
    refuse(where == 'lapsed' and 'lapsed' or 'session_over')
  end
end

function command.admit()
  local tag = take()
  local phase = line.phase(now)
  if phase == 'closed' then return refuse('closed') end
  if phase == 'scheduled' or phase == 'paused' then return refuse('line_ahead') end
  if not has_room_for(1) then return refuse('closed') end
  local is_free = phase == 'free'
  if room.head < room.tail or not (is_free or line.callable(line.credit_now()) > 0) then return refuse('line_ahead') end
  local member, live
  line.change(function()
    room.tail = room.tail + 1
    observed.joined(1)
    room.head = room.tail
    if not is_free then room.credit = room.credit - BOUND.PERMIT end
    member, live = enter(room.tail, tag, now)
  end)
  tell_live(member, live)
end

function command.look()
  local epoch, position = num(), num()
  local why = honour(epoch, position)
  if why then return refuse(why) end
  local where, what = standing(position)
  if where == 'waiting' then
    tell('standing', where, fmt(position - room.head - 1))
  elseif where == 'passed' then
    tell('standing', 'waiting', '0')
  elseif what then
    if where == 'called' then calls.tell(what) else inside.tell(pos16(position)) end
    tell('standing', where, fmt(what.deadline))
  else
    tell('standing', where)
  end
end

function command.leave()
  local epoch, position = num(), num()
  local why = honour(epoch, position)
  if why then return refuse(why) end
  local where, what = standing(position)
  local member = pos16(position)
  if where == 'waiting' or where == 'passed' then
    line.change(function()
      state.resolve(position)
      if position > room.head then left:add(position, member) end
      inside.tell_over(member, 0)
    end)
  elseif where == 'called' then
    line.change(function()
      state.resolve(position)
      calls.note_resolved(what, 1)
      line.lapse(1, what.permit)
      inside.tell_over(member, what.deadline)
    end)
  elseif where == 'inside' then
    line.change(function() inside.finish(member, what) end)
  end
  tell('done')
end

---------------------------------------------------------------- sessions

-- The live session of the name in the arguments, and its position; false and the reason if there is none.
local function find()
  local epoch, position, tag = num(), num(), take()
  if epoch < room.epoch then return false, 'reset' end
  if epoch > room.epoch then return false, 'unknown_session' end
  local member = pos16(position)
  local live = inside.get(member)
  if live then
    if live.tag ~= tag then return false, 'unknown_session' end
    return live, member
  end
  return false, state.is_resolved(position) and 'session_over' or 'unknown_session'
end

function command.exchange()
  local live, member = find()
  local issued = num()
  if not live then return refuse(member) end
  if issued <= live.exchanged or issued > BOUND.TIME_MAX_MS then return refuse('superseded') end
  line.change(function()
    live.exchanged = issued
    inside.write(member, live)
  end)
  tell_live(member, live)
end

function command.check()
  local live, member = find()
  local exchanged = maybe_num()
  if not live then return refuse(member) end
  if exchanged and exchanged ~= live.exchanged then return refuse('superseded') end
  tell_live(member, live)
end

-- Slides the deadline, never past the longest visit, and never back.
function command.renew()
  local live, member = find()
  if not live then return refuse(member) end
  local deadline = math.min(now + rules.session, rules.total and live.start + rules.total or NEVER)
  if rules.renewal and deadline > live.deadline then
    line.change(function() inside.move(member, live, deadline) end)
  else
    inside.tell(member)
  end
  tell_live(member, live)
end

function command.finish()
  local live, member = find()
  if live then
    line.change(function() inside.finish(member, live) end)
  elseif member ~= 'session_over' then
    return refuse(member)
  end
  tell('done')
end

---------------------------------------------------------------- stock

-- Somebody reserved: the session that the grant names, or whoever has been inside longest.
local function note_grant(name)
  if name == '' then return inside.decide_oldest() end
  local epoch, position, tag = string.match(name, '^:(%d+):(%d+):(%x+)$')
  if tonumber(epoch) ~= room.epoch then return end
  local member = pos16(tonumber(position))
  local live = inside.get(member)
  if live and live.tag == tag and live.undecided then inside.decide(member, live) end
end

-- How news stand to what is known: 1 newer, 0 the same, -1 older.
local function age_of(news, known)
  if not known then return 1 end
  for _, name in ipairs({ 'born', 'term', 'seq' }) do
    if news[name] ~= known[name] then return news[name] > known[name] and 1 or -1 end
  end
  return 0
end

function command.set_stock()
  local sale = take()
  local news = { born = num(), term = num(), seq = num(), available = num(), held = num(), phase = take() }
  local grants = take()
  local known = room.stock
  local age = age_of(news, known)
  local is_other = age == 0
    and (known.available ~= news.available or known.held ~= news.held or known.phase ~= news.phase)
  local is_refresh = age == 0 and rules.gate == 'hold' and now - known.at >= BOUND.STOCK_REFRESH_MS
  if rules.sale == sale and rules.gate ~= 'off' and (age > 0 or is_other or is_refresh) then
    line.settle(function()
      local heard = known and known.born == news.born and known.term == news.term and known.seq or 0
      for seq, name in string.gmatch(grants, '(%d+)(%S*)') do
        if tonumber(seq) > heard then note_grant(name) end
      end
      news.available = math.min(news.available, BOUND.UNITS_MAX)
      news.held = math.min(news.held, BOUND.UNITS_MAX)
      news.at = now
      room.stock = news
    end)
  else
    line.tick()
  end
  tell('done')
end

function command.forget_stock()
  if room.stock then line.settle(function() room.stock = nil end) else line.tick() end
  tell('done')
end

---------------------------------------------------------------- the operator's

local function configure(version, first_epoch, new)
  if not room or first_epoch > room.epoch then
    if room then state.forget() end
    state.fresh(version, first_epoch, new)
    changed = true
    return
  end
  line.settle()
  local was = rules
  local is_other_speed = was.rate ~= new.rate or was.overcall ~= new.overcall or was.cap ~= new.cap
    or (was.mode == 'open') ~= (new.mode == 'open')
  if is_other_speed then observed.forget_moves() end
  if was.mode == 'open' and new.mode ~= 'open' then room.credit = 0 end
  room.credit = math.min(room.credit, new.ready)
  if was.sale ~= new.sale or new.gate == 'off' then room.stock = nil end
  room.version = version
  rules = new
  line.advance()
end

function command.configure()
  local version, first_epoch = num(), num()
  local settings = table.concat(args, ' ', at + 1, at + WORDS.configure - 2)
  at = at + WORDS.configure - 2
  if not room or version > room.version then configure(version, first_epoch, state.rules(settings)) end
  tell('done')
end

function command.delete()
  local last_epoch = num()
  if room and room.epoch <= last_epoch then
    state.forget()
    room, rules = nil, nil
    changed = true
  end
  tell('done')
end

-- Empties the line. Credit stays: a reset makes no permits, whatever it takes away.
function command.reset()
  line.change(function()
    local credit, stock = room.credit, room.stock
    state.forget()
    state.fresh(room.version, room.epoch + 1, rules)
    room.credit, room.stock = credit, stock
  end)
  tell('done')
end

function command.tick() tell('done') end

---------------------------------------------------------------- what the gate asks for

-- These tick by themselves, or not at all.
local TICKS_ITSELF = { configure = true, delete = true, set_stock = true, forget_stock = true }
local NEEDS_NO_ROOM = { configure = true, delete = true }

-- Reads the sessions that the commands name, all at once.
local function gather_sessions(count)
  local names, n, cursor = {}, 0, at
  for _ = 1, count do
    local word = args[cursor + 1]
    if NAMES_SESSION[word] then
      n = n + 1
      names[n] = pos16(tonumber(args[cursor + 3]))
    end
    cursor = cursor + 1 + WORDS[word]
  end
  if n > 1 then sessions:gather(names) end
end

function aggregate.apply()
  local count = num()
  now = math.min(now, BOUND.TIME_MAX_MS)
  gather_sessions(count)
  for _ = 1, count do
    local word = take()
    if room or NEEDS_NO_ROOM[word] then
      if not TICKS_ITSELF[word] then line.tick() end
      command[word]()
    else
      at = at + WORDS[word]
      refuse('unknown_room')
    end
  end
  if changed then state.save() end
  if room then state.tell() end
end

function aggregate.exists() return room end

function aggregate.head()
  if not room then return '-' end
  local parts = {}
  for i, name in ipairs(FIGURES) do parts[i] = fmt(room[name]) end
  local n = #parts
  parts[n + 1], parts[n + 2], parts[n + 3] = fmt(due:count()), fmt(undecided:count()), rules.text
  parts[n + 4], parts[n + 5], parts[n + 6] = stock_line() or '-', room.past, bucket_line()
  if not room.past then parts[n + 5], parts[n + 6] = parts[n + 6], nil end
  return table.concat(parts, ' ')
end

function aggregate.commit()
  if is_new then
    for _, own in ipairs(OWN) do own.emptied = true end
  end
  for _, own in ipairs(OWN) do own:commit() end
  if not room then
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, GONE_MS) end
  elseif is_new or was_gone then
    for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  end
end

