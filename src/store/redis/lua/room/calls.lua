-- The open calls and the live sessions.

calls = part(function(calls)
  -- A call is a range of positions with one deadline. It is written whole into its member, which begins with its last
  -- position: so calls of one deadline lapse in the order of the line.
  local seen_calls = {} -- those looked at or made by this call of the script, by member
  local newest -- the last call, once it is known

  local function call_member(call)
    return table.concat({ pos16(call.last), fmt(call.first), fmt(call.deadline), call.permit and 'permit' or 'free' }, ' ')
  end

  function calls.read(member)
    local call = seen_calls[member]
    if call then return call end
    local last, first, deadline, cost = string.match(member, '^(%d+) (%d+) (%d+) (%a+)$')
    call = { last = tonumber(last), first = tonumber(first), deadline = tonumber(deadline), permit = cost == 'permit', member = member }
    seen_calls[member] = call
    return call
  end

  -- The open call of a position; nil if there is none.
  function calls.of(position)
    for _, call in pairs(seen_calls) do
      if call.first <= position and position <= call.last then return call end
    end
    if calls_by_last.emptied then return nil end
    local member = redis.call('ZRANGEBYSCORE', calls_by_last.key, fmt(position), '+inf', 'LIMIT', '0', '1')[1]
    -- Calls don't overlap: if that one is over, the position is in none.
    if not member or member == LAST or calls_by_last.hidden[member] then return nil end
    local call = calls.read(member)
    return call.first <= position and call or nil
  end

  function calls.put(call)
    call.member = call_member(call)
    seen_calls[call.member] = call
    newest = call
    calls_by_last:add(call.last, call.member)
    calls_due:add(call.deadline, call.member)
    calls.tell(call)
  end

  -- Says of a call that it is open.
  function calls.tell(call)
    fact('c' .. fmt(call.first), table.concat({ fmt(room.epoch), fmt(call.last), fmt(call.deadline) }, ' '))
  end

  function calls.remove(call)
    seen_calls[call.member] = nil
    if newest == call then newest = nil end
    calls_by_last:remove(call.member)
    calls_due:remove(call.member)
  end

  -- The call of the highest positions.
  function calls.latest()
    if newest or calls_by_last:count() == 0 then return newest end
    local from_end = 1 -- behind LAST
    repeat
      local member = redis.call('ZREVRANGE', calls_by_last.key, from_end, from_end)[1]
      if member and not calls_by_last.hidden[member] then newest = calls.read(member) end
      from_end = from_end + 1
    until newest or not member
    return newest
  end

  -- Whether all between two calls is resolved: what has lapsed meanwhile must not be called again.
  local function are_neighbours(before, first)
    if first - before.last - 1 > BOUND.CALLS_GAP_MAX then return false end
    for position = before.last + 1, first - 1 do
      if not state.is_resolved(position) then return false end
    end
    return true
  end

  -- Calls `first..last`, of which so many are resolved already. Its deadline is rounded up to a 240th of the window: calls
  -- of one such slot share a checkpoint.
  function calls.add(first, last, gone, permit)
    local slot = math.max(div(rules.window, BOUND.CALLS_PER_WINDOW), 1)
    local call = { first = first, last = last, deadline = div(now + rules.window + slot - 1, slot) * slot, permit = permit }
    local before = calls.latest()
    local is_full = calls_by_last:count() >= BOUND.CALLS_MAX
    local is_like = before and (is_full or (before.deadline == call.deadline and before.permit == permit))
    if is_like and are_neighbours(before, first) then
      calls.remove(before)
      gone = gone + first - before.last - 1
      call.first = before.first
      call.deadline = math.max(before.deadline, call.deadline)
      call.permit = before.permit and permit
    end
    calls.put(call)
    calls.note_resolved(call, gone)
  end

  -- So many more positions of a call are resolved.
  function calls.note_resolved(call, positions)
    if positions > 0 then
      local field = fmt(call.first)
      resolved:put(field, (resolved:num(field) or 0) + positions)
    end
  end

  -- Takes out a call whose deadline has come, and counts its positions that nobody resolved.
  function calls.pop_due()
    local call = calls.read((calls_due:first()))
    calls.remove(call)
    local field = fmt(call.first)
    local gone = resolved:num(field)
    if gone then resolved:set(field, false) end
    return call, call.last - call.first + 1 - (gone or 0)
  end

  -- All of them, in the order of the line.
  function calls.all()
    local members = not calls_by_last.emptied and redis.call('ZRANGE', calls_by_last.key, 0, -1) or {}
    for _, member in ipairs(members) do
      if member ~= LAST and not calls_by_last.hidden[member] then calls.read(member) end
    end
    local all = {}
    for _, call in pairs(seen_calls) do all[#all + 1] = call end
    table.sort(all, function(one, other) return one.last < other.last end)
    return all
  end

  -- How many may still claim.
  function calls.outstanding()
    local all, fields, sum = calls.all(), {}, 0
    for i, call in ipairs(all) do fields[i] = fmt(call.first) end
    if fields[1] then resolved:gather(fields) end
    for i, call in ipairs(all) do sum = sum + call.last - call.first + 1 - (resolved:num(fields[i]) or 0) end
    return sum
  end

  -- None of them gives anything back any more.
  function calls.make_free()
    local all = calls.all()
    for _, call in ipairs(all) do
      if call.permit then
        calls.remove(call)
        call.permit = false
        calls.put(call)
      end
    end
    newest = all[#all]
  end

  -- Nobody may claim any more.
  function calls.drop()
    calls_by_last:clear()
    calls_due:clear()
    resolved:clear()
    calls.forget()
  end

  function calls.forget()
    seen_calls, newest = {}, nil
  end
end)

---------------------------------------------------------------- sessions

inside = part(function(inside)
  -- The live session of a position; nil if there is none.
  function inside.get(member)
    local text = sessions:get(member)
    return text and inside.read(text) or nil
  end

  function inside.read(text)
    local tag, start, deadline, exchanged, undecided_until, claimable =
      string.match(text, '^(%x+) (%d+) (%d+) (%d+) (%S+) (%d+)$')
    return {
      tag = tag,
      start = tonumber(start),
      deadline = tonumber(deadline),
      exchanged = tonumber(exchanged),
      undecided = tonumber(undecided_until), -- '-' is none
      claimable = tonumber(claimable),
    }
  end

  -- Writes a session's row, whatever stands in the orders.
  function inside.write(member, live)
    sessions:set(member, table.concat({
      live.tag, fmt(live.start), fmt(live.deadline), fmt(live.exchanged), live.undecided and fmt(live.undecided) or '-',
      fmt(live.claimable),
    }, ' '))
    inside.tell(member)
  end

  -- Says of a session that it lives. Whoever was told has to remember that its position is claimed as long as its call is
  -- open.
  function inside.tell(member) fact('p' .. fmt(tonumber(member)), fmt(room.epoch) .. ' ' .. sessions:get(member)) end

  -- Says that a position is claimed and its session over, or that it was given back.
  function inside.tell_over(member, claimable)
    fact('p' .. fmt(tonumber(member)), fmt(room.epoch) .. ' over ' .. fmt(claimable))
  end

  -- Starts a session where there was none.
  function inside.start(member, live)
    due:add(live.deadline, member)
    if live.undecided then undecided:add(live.undecided, member) end
    inside.write(member, live)
  end

  -- Moves a session's deadline.
  function inside.move(member, live, deadline)
    live.deadline = deadline
    due:remove(member)
    due:add(deadline, member)
    inside.write(member, live)
  end

  -- Ends a session before its time.
  function inside.finish(member, live)
    due:remove(member)
    if live.undecided then undecided:remove(member) end
    sessions:set(member, false)
    inside.tell_over(member, live.claimable)
  end

  -- Who has been inside longest without a reservation is taken to have one.
  function inside.decide(member, live)
    undecided:remove(member)
    live.undecided = nil
    inside.write(member, live)
  end

  function inside.decide_oldest()
    local member = undecided:first()
    if member then inside.decide(member, inside.get(member)) end
  end

  -- Ends every session whose deadline has come, and keeps no unit any longer for those who had time enough.
  function inside.end_due()
    local over, n = {}, 0
    local member, deadline = due:first()
    while member and deadline <= now do
      n = n + 1
      over[n] = member
      due:remove(member)
      member, deadline = due:first()
    end
    if n > 0 then sessions:gather(over) end
    for _, ended in ipairs(over) do
      if inside.get(ended).undecided then undecided:remove(ended) end
      sessions:set(ended, false)
    end
    local oldest, until_then = undecided:first()
    while oldest and until_then <= now do
      inside.decide_oldest()
      oldest, until_then = undecided:first()
    end
  end
end)
