-- The commands that come seldom, and the operator's.

seldom = part(function(seldom)
  function seldom.admit()
    local tag = take()
    local phase = line.phase(now)
    if phase == 'closed' then return refuse('closed') end
    if phase == 'scheduled' or phase == 'paused' then return refuse('line_ahead') end
    if not has_room_for(1) then return refuse('closed') end
    local is_free = phase == 'free'
    if room.head < room.tail or not (is_free or line.callable(line.credit_now()) > 0) then return refuse('line_ahead') end
    local member, live
    line.change(function()
      line.issue(1)
      room.head = room.tail
      if not is_free then room.credit = room.credit - BOUND.PERMIT end
      member, live = enter(room.tail, tag, now)
    end)
    tell_live(member, live)
  end

  function seldom.leave()
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

  function seldom.exchange()
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

  function seldom.finish()
    local live, member = find()
    if live then
      line.change(function() inside.finish(member, live) end)
    elseif member ~= 'session_over' then
      return refuse(member)
    end
    tell('done')
  end

  -- The store has forgotten that this position was issued, and the head has passed it: its visitor goes in by the next
  -- permit, which is kept for it.
  function seldom.enter_from_void(position, tag)
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

  function seldom.set_stock()
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

  function seldom.forget_stock()
    if room.stock then line.settle(function() room.stock = nil end) else line.tick() end
    tell('done')
  end

  ---------------------------------------------------------------- the operator's

  local function configure(version, first_epoch, new)
    if not room or first_epoch > room.epoch then
      if room then state.forget() end
      state.fresh(version, first_epoch, new)
      line.unsettle()
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

  function seldom.configure()
    local version, first_epoch = num(), num()
    local settings = table.concat(args, ' ', at + 1, at + WORDS.configure - 2)
    at = at + WORDS.configure - 2
    if not room or version > room.version then configure(version, first_epoch, state.rules(settings)) end
    tell('done')
  end

  function seldom.delete()
    local last_epoch = num()
    if room and room.epoch <= last_epoch then
      state.forget()
      room, rules = nil, nil
      changed = true
    end
    tell('done')
  end

  -- Empties the line. Credit stays: a reset makes no permits, whatever it takes away.
  function seldom.reset()
    line.change(function()
      local credit, stock = room.credit, room.stock
      state.forget()
      state.fresh(room.version, room.epoch + 1, rules)
      room.credit, room.stock = credit, stock
    end)
    tell('done')
  end
end)
