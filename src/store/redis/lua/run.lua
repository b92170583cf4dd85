-- The way of a call: gate, commands, reply, write phase.

local function reply(word)
  local count = #told
  local lines = { status(word) .. ' ' .. fmt(count), aggregate.head() }
  for i = 1, count do lines[2 + i] = told[i] end
  for i = 1, #facts do lines[2 + count + i] = facts[i] end
  return table.concat(lines, '\n')
end

-- A batch whose number is known was applied before: its answer was lost on the way, and is given again.
local function sent_before()
  local last = redis.call('HGET', sent_key, 'n:' .. instance)
  if not last or number > tonumber(last) then return nil end
  if number < tonumber(last) then return status('old') end
  return redis.call('HGET', sent_key, 'r:' .. instance)
end

-- `term` is that of an aggregate that is made by this batch.
local function apply_batch(term)
  local before = sent_before()
  if before then return before end
  aggregate.apply()
  -- What was made and deleted in one batch leaves no trace.
  if not changed or not (aggregate.exists() or main:get('layout')) then return reply('ok') end
  if not main:get('layout') then loss.make_header(term) end
  if main:get('phase') == 'lost' then
    -- Its operator has seen to it.
    main:set('phase', 'open')
    main:set('lost', false)
  end
  main:put('seq', main:num('seq') + 1)
  local long_ago = fmt(store_now() - PRUNE_MS)
  local gone = redis.call('ZRANGEBYSCORE', seen_key, '-inf', long_ago, 'LIMIT', '0', '10')
  local answer = reply('ok')
  -- From here on nothing is read.
  commit()
  aggregate.commit()
  for _, id in ipairs(gone) do
    redis.call('ZREM', seen_key, id)
    redis.call('HDEL', sent_key, 'n:' .. id, 'r:' .. id)
  end
  redis.call('HSET', sent_key, 'n:' .. instance, fmt(number), 'r:' .. instance, answer)
  redis.call('ZADD', seen_key, fmt(store_now()), instance)
  return answer
end

-- Calls that come seldom.
local rare = part(function(rare)
  -- Rows of before the loss, in pages; `done` says that there are no more from this sender.
  function rare.apply_replay()
    loss.note_words('peers', take())
    aggregate.replay()
    local answer = status('ok')
    commit()
    aggregate.commit()
    return answer
  end

  function rare.finish_replay(is_open)
    if is_open then aggregate.recovered(nil) end
    main:put('seq', main:num('seq') + 1)
    local answer = reply('ok')
    commit()
    aggregate.commit()
    redis.call('ZADD', seen_key, fmt(store_now()), instance)
    return answer
  end

  -- An instance ends in order: nobody waits for it. A replica that has this has all that was before it.
  function rare.leave()
    if main:get('stamp') == stamp() then
      redis.call('ZREM', seen_key, instance)
      redis.call('HDEL', sent_key, 'n:' .. instance, 'r:' .. instance)
    end
    return status('ok')
  end

  -- What a call to an aggregate that is not there comes to.
  function rare.at_nothing()
    if op == 'replay' and seen_made == '-' and not aggregate.can_be_lost then
      loss.make_header(met)
      loss.begin_recovery(met + 1)
      return rare.apply_replay()
    end
    if op == 'batch' and (seen_made == '-' or aggregate.is_allowed_lost()) then return apply_batch(met + 1) end
    return status('gone')
  end

  -- A server that is not the one of before, or has forgotten more than its senders: nothing is applied.
  function rare.at_a_loss(term)
    loss.begin_recovery(term)
    local answer = status('recovering')
    commit()
    return answer
  end
end)

local function run()
  local layout = main:get('layout')
  if layout and layout ~= LAYOUT then return redis.error_reply('LAYOUT ' .. layout) end
  now = math.max(store_now(), main:num('last') or 0, floor)
  if not layout then return rare.at_nothing() end
  if op == 'leave' then return rare.leave() end
  local term = main:num('term')
  if main:get('stamp') ~= stamp() then return rare.at_a_loss(math.max(term, met) + 1) end
  if met > term then
    if adopt then return rare.at_a_loss(met + 1) end
    return status('stale')
  end
  local is_other = seen_made ~= '-' and seen_made ~= main:get('made')
  -- The rest of a replay that began at a server which is no more: its beginning is not here.
  if is_other and (op == 'replay' or op == 'done') then return status('recovering') end
  local was_open = main:get('phase') ~= 'recovering'
  if op == 'replay' then return rare.apply_replay() end
  if op == 'done' then loss.note_done(was_open) end
  if not was_open and not loss.end_recovery() then
    local answer = status('recovering')
    commit()
    return answer
  end
  if op == 'done' then return rare.finish_replay(was_open) end
  if not is_other and not (main:get('phase') == 'lost' and not aggregate.is_allowed_lost()) then
    return apply_batch()
  end
  local answer = status(is_other and 'behind' or 'lost')
  if not was_open then
    -- The recovery ended with this call all the same.
    main:put('seq', main:num('seq') + 1)
    commit()
    aggregate.commit()
  end
  return answer
end

return run()
