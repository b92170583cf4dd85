-- The commands of a room.

-- How many words each command has after its own; those whose first words name a session are read ahead.
local WORDS = {
  configure = 15, delete = 1, reset = 0, tick = 0, join = 1, claim = 3, admit = 1, look = 2, exchange = 4, check = 4,
  renew = 3, finish = 3, leave = 2, set_stock = 8, forget_stock = 0,
}
local NAMES_SESSION = { exchange = true, check = true, renew = true, finish = true }

local command = {}
local seldom -- those that come seldom: the next part

local function refuse(why) tell('refused', why) end

local function tell_live(member, live)
  tell('live', fmt(room.epoch), fmt(tonumber(member)), live.tag, fmt(live.start), fmt(live.deadline), fmt(live.exchanged))
end

---------------------------------------------------------------- places

-- Whether so many more positions can be issued.
local function has_room_for(count) return room.tail + count <= BOUND.POSITION_MAX end

-- Takes a signed place as ours; says why not. A number above the tail was issued and forgotten: it raises the tail, so
-- that nobody else gets it. Whole jumps between them are no joins.
local function honour(epoch, position)
  if epoch < room.epoch then return 'reset' end
  local above = math.max(position - room.tail, 0)
  if epoch > room.epoch or position == 0 or above > BOUND.TAIL_RAISE_MAX or not has_room_for(above) then return 'not_issued' end
  if above > 0 then
    line.change(function()
      room.tail = position
      room.joins = room.joins + above % BOUND.JUMP
    end)
  end
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
  return room.voids and voids.of(position) and 'passed' or 'lapsed'
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
    line.change(function() line.issue(count) end)
  end
  tell('joined', fmt(room.epoch), fmt(first), fmt(count))
end

function command.claim()
  local epoch, position, tag = num(), num(), take()
  local why = honour(epoch, position)
  if why then return refuse(why) end
  local where, what = standing(position)
  if where == 'waiting' then
    tell('waiting', fmt(line.ahead(position)))
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
    seldom.enter_from_void(position, tag)
  else
    refuse(where == 'lapsed' and 'lapsed' or 'session_over')
  end
end

function command.look()
  local epoch, position = num(), num()
  local why = honour(epoch, position)
  if why then return refuse(why) end
  local where, what = standing(position)
  if where == 'waiting' then
    tell('standing', where, fmt(line.ahead(position)))
  elseif where == 'passed' then
    tell('standing', 'waiting', '0')
  elseif what then
    if where == 'called' then calls.tell(what) else inside.tell(pos16(position)) end
    tell('standing', where, fmt(what.deadline))
  else
    tell('standing', where)
  end
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
      (command[word] or seldom[word])()
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
  local past = room.past and room.past .. ' ' or ''
  return digits[room.version] .. ' ' .. digits[room.epoch] .. ' ' .. digits[room.last] .. ' ' .. state.counts() .. ' '
    .. digits[due:count()] .. ' ' .. digits[undecided:count()] .. ' ' .. rules.text .. ' ' .. (state.stock_line() or '-') .. ' '
    .. (room.voids and '=' .. voids.write() or '-') .. ' ' .. past .. (state.bucket_line() or '')
end

function aggregate.commit()
  for _, own in ipairs(OWN) do
    if is_new then own.emptied = true end
    own:commit()
  end
  if not room then
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, GONE_MS) end
  elseif is_new or was_gone then
    for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  end
end

