-- After a loss: what senders remember is told again, in any order. Each row takes the room forward only. Rust's recovery
-- says why everything is as it is.

local recovery = part(function(recovery)
  local replay = {}

  -- The line was reset, or made anew: nobody stands in it yet.
  local function begin_epoch(epoch)
    local credit, stock, rebuilt, fork = room.credit, room.stock, staged:get('rebuilt'), staged:get('fork')
    state.forget()
    state.fresh(room.version, epoch, rules)
    room.credit, room.stock = math.min(credit, room.credit), stock
    staged:set('rebuilt', rebuilt)
    staged:set('fork', fork)
  end

  local function raise_tail(position) room.tail = math.max(room.tail, math.min(position, BOUND.POSITION_MAX)) end

  -- Who began to tell may never have ended: what was told after an earlier loss is of no use.
  local function forget_older()
    local fork = main:get('fork')
    if staged:get('fork') ~= fork then
      staged:clear()
      staged:set('fork', fork)
    end
  end

  -- Keeps the highest that was told.
  local function stage(name, n)
    if n > (staged:num(name) or 0) then staged:put(name, n) end
  end

  -- Marks a position as resolved that was not. Says whether it was called, and might still have claimed.
  local function resolve_anew(position, member)
    local call = calls.of(position)
    state.resolve(position)
    if call then calls.note_resolved(call, 1) end
    if position > room.head then left:add(position, member) end
    return call ~= nil
  end

  local function replay_over(position, member)
    if not state.is_resolved(position) then
      if resolve_anew(position, member) then room.lapsed = room.lapsed + 1 end
      return
    end
    local live = inside.get(member)
    if live then inside.finish(member, live) end
  end

  local function replay_session(position, member, told)
    if not state.is_resolved(position) then
      if resolve_anew(position, member) then
        room.entered = room.entered + 1
      elseif position <= room.head and room.lapsed > 0 then
        room.lapsed = room.lapsed - 1
        room.entered = room.entered + 1
      end
      inside.start(member, told)
      return
    end
    -- What is over stays over; the later of two states of one session counts.
    local known = inside.get(member)
    if not known or known.tag ~= told.tag then return end
    known.exchanged = math.max(known.exchanged, told.exchanged)
    known.claimable = math.max(known.claimable, told.claimable)
    local still_undecided = known.undecided and told.undecided
    if known.undecided and still_undecided ~= known.undecided then
      undecided:remove(member)
      if still_undecided then undecided:add(still_undecided, member) end
      known.undecided = still_undecided
    end
    inside.move(member, known, math.max(known.deadline, told.deadline))
  end

  -- Rows of the line, by the letter of their key; `name` is what follows it.
  function replay.s(_, rest)
    local tail, head, joins, entered = string.match(rest, '^(%d+) (%d+) (%d+) (%d+)$')
    raise_tail(tonumber(tail))
    room.joins = math.max(room.joins, tonumber(joins))
    stage('head', tonumber(head))
    stage('entered', tonumber(entered))
  end

  function replay.v(_, rest)
    for _, void in ipairs(voids.read(rest)) do
      raise_tail(void[2])
      -- Whatever others jumped: up to there the positions were issued here.
      voids.add(math.max(void[1], staged:num('kept') + 1), math.min(void[2], BOUND.POSITION_MAX))
    end
  end

  function replay.p(name, rest)
    local position = tonumber(name)
    local member = pos16(position)
    raise_tail(position)
    if string.match(rest, '^over ') then return replay_over(position, member) end
    -- Whoever is inside was called.
    stage('head', position)
    replay_session(position, member, inside.read(rest))
  end

  function replay.c(name, rest)
    local last, deadline = string.match(rest, '^(%d+) (%d+)$')
    last, deadline = tonumber(last), tonumber(deadline)
    raise_tail(last)
    local known = staged:get('c' .. name)
    if known then
      local known_last, known_deadline = string.match(known, '^(%d+) (%d+)$')
      last, deadline = math.max(last, tonumber(known_last)), math.max(deadline, tonumber(known_deadline))
    end
    staged:set('c' .. name, fmt(last) .. ' ' .. fmt(deadline))
  end

  local function replay_settings(value)
    local version, first_epoch, settings = string.match(value, '^(%d+) (%d+) (.+)$')
    version, first_epoch = tonumber(version), tonumber(first_epoch)
    if not room then
      state.fresh(version, first_epoch, state.rules(settings))
      staged:set('rebuilt', '1')
    elseif version > room.version then
      local new = state.rules(settings)
      if rules.sale ~= new.sale then room.stock = nil end
      room.version = version
      room.credit = math.min(room.credit, new.ready)
      rules = new
      if first_epoch > room.epoch then begin_epoch(first_epoch) end
    end
  end

  local function replay_row(key, value)
    if key == 'g' then return replay_settings(value) end
    local kind, name = string.match(key, '^([spcv])(%d*)$')
    local epoch, rest = string.match(value, '^(%d+) (.+)$')
    if not room or not kind then return end
    if tonumber(epoch) > room.epoch then begin_epoch(tonumber(epoch)) end
    if tonumber(epoch) == room.epoch then
      -- The tail that the store had kept, before anything was told.
      if not staged:get('kept') then staged:put('kept', room.tail) end
      replay[kind](name, rest)
    end
  end

  function recovery.replay()
    now = math.min(now, BOUND.TIME_MAX_MS)
    if room then forget_older() end
    for _ = 1, num() do
      -- The term and the batch of a row say nothing here: what is later stands further on by itself.
      local key, _, _, value = take(), take(), take(), take()
      replay_row(key, value)
    end
    -- The room may have been made by what was told.
    if room then staged:set('fork', main:get('fork')) end
    state.save()
  end

  ---------------------------------------------------------------- the end of the recovery

  -- The calls that were told, in the order of the line.
  local function staged_calls()
    local told = {}
    for field, value in pairs(staged.known) do
      local first = value and string.match(field, '^c(%d+)$')
      if first then
        local last, deadline = string.match(value, '^(%d+) (%d+)$')
        told[#told + 1] = { first = tonumber(first), last = tonumber(last), deadline = tonumber(deadline), permit = false }
      end
    end
    table.sort(told, function(one, other) return one.first < other.first end)
    return told
  end

  -- The calls that were told, beyond those that are known. They cost nothing: their permits are spent.
  local function call_again()
    for _, call in ipairs(staged_calls()) do
      call.first, call.last = math.max(call.first, room.head + 1), math.min(call.last, room.tail)
      if call.first <= call.last then
        room.head = call.last
        calls.put(call)
        calls.note_resolved(call, line.drop_left(call.first))
      end
    end
  end

  local function jump(term)
    local here = BOUND.JUMP * term + room.joins
    local last = math.min(math.max(here, room.tail + BOUND.JUMP), BOUND.POSITION_MAX)
    voids.add(room.tail + 1, last)
    room.tail = last
  end

  local function begin_again(heard)
    room.last, room.credit, room.owed = now, 0, 0
    room.bucket, room.past = nil, nil
    if heard then calls.make_free() else calls.drop() end
  end

  local function recover(heard, term)
    if heard == nil then line.settle() else begin_again(heard) end
    if heard == false then
      for _, call in ipairs(staged_calls()) do room.head = math.max(room.head, call.last) end
    else
      call_again()
    end
    room.head = math.min(math.max(room.head, staged:num('head') or 0), room.tail)
    line.drop_left(0)
    if staged:get('rebuilt') then voids.cut(room.head) end
    if heard == false then jump(term) end
    local resolved_all = room.head - calls.outstanding()
    room.entered = math.min(math.max(room.entered, staged:num('entered') or 0), resolved_all)
    room.lapsed = resolved_all - room.entered
    -- A batch may follow in this call, and calls may be over that were told.
    line.unsettle()
  end

  function recovery.finish(heard, term)
    now = math.min(now, BOUND.TIME_MAX_MS)
    if room then
      forget_older()
      if not staged.emptied then staged:load() end
      recover(heard, term)
      state.save()
      state.tell()
    end
    staged:clear()
  end
end)

function aggregate.replay() recovery.replay() end
function aggregate.recovered(heard, term) recovery.finish(heard, term) end

-- What is lost of a room is made again from what its senders remember: nobody has to be asked.
aggregate.can_be_lost = false
function aggregate.is_allowed_lost() return false end
