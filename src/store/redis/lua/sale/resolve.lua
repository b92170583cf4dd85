-- What becomes of a hold: paying, confirm, release, extend. A reservation resolves at most once; a terminal record never
-- changes, and the same call again gets the same answer.

local resolve = part(function(resolve)
  -- The record of a hold that lives; or nil and why not. A hold whose deadline has come is expired here and now: the third
  -- says whether that was done.
  local function live(id)
    local record = book.record(id)
    if not record then return nil, 'x unknown_reservation', false end
    if record.state == 'H' then
      if now < record.at then return record, nil, false end
      book.end_hold(id, 'E', 'expired')
      return nil, 'x expired', true
    end
    if record.state == 'E' then return nil, 'x expired', false end
    if record.state == 'R' then return nil, 'x released', false end
    return nil, 'x conflict confirmed under order ' .. record.mark, false
  end

  function resolve.reschedule(id, record, deadline, mark)
    record.at, record.mark = deadline, mark
    book.touch(id, record)
    shelf.due:remove(id)
    shelf.due:add(deadline, id)
  end

  function resolve.contains(list, word)
    for _, one in ipairs(list) do
      if one == word then return true end
    end
    return false
  end

  -- A list with one word more: lists are shared, and never changed.
  local function with(list, word)
    local longer = {}
    for i, one in ipairs(list) do longer[i] = one end
    longer[#longer + 1] = word
    return longer
  end

  -- The hold lives at least the payment grace longer; once.
  function resolve.paying(ask)
    local record, refusal, did = live(ask.id)
    if not record then
      tell(refusal)
      return did
    end
    local begins = record.mark ~= '1'
    if begins then resolve.reschedule(ask.id, record, math.max(record.at, now + book.rules().grace), '1') end
    inquiry.show(ask.id)
    return begins
  end

  -- Lets the hold live at least so many seconds from now, never longer than the sale's maximum from its start.
  function resolve.extend(ask)
    local rules = book.rules()
    local most = div(rules.hold_max, 1000)
    if ask.seconds < 1 or ask.seconds > most then
      tell('x invalid seconds must be from 1 to ' .. fmt(most))
      return false
    end
    local record, refusal, did = live(ask.id)
    if not record then
      tell(refusal)
      return did
    end
    local wished = math.min(now + ask.seconds * 1000, record.created + rules.hold_max)
    if (ask.key and resolve.contains(record.keys, ask.key)) or wished <= record.at then
      inquiry.show(ask.id)
      return false
    end
    if record.extensions >= BOUND.extensions then
      tell('x limit', fmt(BOUND.extensions), fmt(record.extensions), 'extensions')
      return false
    end
    record.extensions = record.extensions + 1
    if ask.key then record.keys = with(record.keys, ask.key) end
    resolve.reschedule(ask.id, record, wished, record.mark)
    inquiry.show(ask.id)
    return true
  end

  -- Gives the units back; again is the same.
  function resolve.release(ask)
    local record, refusal, did = live(ask.id)
    if record then
      book.end_hold(ask.id, 'R', 'released')
      inquiry.show(ask.id)
      return true
    end
    -- What the buyer wanted is so: the units are back.
    if refusal == 'x released' or refusal == 'x expired' then
      inquiry.show(ask.id)
    else
      tell(refusal)
    end
    return did
  end

  function resolve.units_of(lines, sku)
    for i = 1, #lines, 2 do
      if lines[i] == sku then return lines[i + 1] end
    end
  end

  -- The units to confirm, all of the record or the part that was named, and which of the two; or nil and a refusal.
  local function portion(record, units)
    if not units then return record.lines, 'whole' end
    if units.bad then return nil, units.bad end
    local is_whole = #units == #record.lines
    for i = 1, #units, 2 do
      local sku, wanted = units[i], units[i + 1]
      local reserved = resolve.units_of(record.lines, sku)
      if not reserved and not book.stock(sku) then return nil, 'x unknown_sku ' .. sku end
      if not reserved or wanted > reserved then
        local detail = sku .. ': ' .. fmt(wanted) .. ' wanted, ' .. fmt(reserved or 0) .. ' reserved'
        return nil, 'x invalid lines ' .. detail
      end
      is_whole = is_whole and wanted == reserved
    end
    return units, is_whole and 'whole' or 'part'
  end

  -- Moves the part of a live hold from held to sold, as of now or `at_ms`, and lets the rest return. The caller tells the
  -- levels.
  function resolve.sell(id, record, lines, share, order, at_ms)
    local reserved, returned = record.lines, {}
    record.lines, record.state, record.at, record.mark = lines, 'C', at_ms or now, order
    book.touch(id, record)
    book.fade(id, at_ms)
    for i = 1, #reserved, 2 do
      local sku, held = reserved[i], reserved[i + 1]
      local sold = resolve.units_of(lines, sku) or 0
      book.sell(sku, sold)
      if held > sold then
        book.give_back(sku, held - sold)
        book.take_count(record.buyer, sku, held - sold)
        returned[#returned + 1] = sku
        returned[#returned + 1] = held - sold
      end
    end
    book.emit(table.concat({ 'confirmed', id, record.buyer, order, share, units_text(lines), units_text(returned) }, ' '))
  end

  -- Brings an expired record back to life as a hold of these units, for the sale that follows in the same step.
  function resolve.hold_again(id, record, lines)
    shelf.fading:remove(id)
    record.lines, record.state, record.at, record.mark = lines, 'H', now, '1'
    book.touch(id, record)
    for i = 1, #lines, 2 do
      book.hold(lines[i], lines[i + 1])
      book.add_count(record.buyer, lines[i], lines[i + 1])
    end
    book.emit(table.concat({ 'held', id, record.buyer, fmt(now), units_text(lines) }, ' '))
  end

  -- Tells the shop that a payment came for a hold that had died, and remembers its order.
  function resolve.tell_paid_too_late(id, record, order)
    record.orders = with(record.orders, order)
    book.touch(id, record)
    book.emit(table.concat({ 'paid_too_late', id, order, units_text(record.lines) }, ' '))
  end

  -- A payment for an expired hold takes the units again, if they can be had, and sells them in the same step.
  local function retake(ask, record, did)
    local lines, share = portion(record, ask.units)
    if not lines then
      tell(share)
      return did
    end
    local is_in_the_way = reserve.shortages(lines, NOTHING)
      or (record.buyer ~= '-' and reserve.limits(record.buyer, lines, NOTHING))
    if is_in_the_way and reserve.is_behind() then
      tell('pending')
      return did
    end
    if is_in_the_way then
      resolve.tell_paid_too_late(ask.id, record, ask.order)
      tell('x expired')
      return true
    end
    -- Before the hold: in one step with it, the units go from available to sold.
    local levels = book.levels(lines)
    resolve.hold_again(ask.id, record, lines)
    resolve.sell(ask.id, record, lines, share, ask.order)
    book.tell_levels(levels)
    inquiry.show(ask.id)
    return true
  end

  -- Paid: from held to sold, in whole or in part.
  function resolve.confirm(ask)
    local alive, refusal, did = live(ask.id)
    local record = book.record(ask.id)
    if not record then
      tell(refusal)
      return did
    end
    if resolve.contains(record.orders, ask.order) then
      tell(record.state == 'R' and 'x released' or 'x expired')
      return did
    end
    if alive then
      local lines, share = portion(record, ask.units)
      if not lines then
        tell(share)
        return did
      end
      local levels = book.levels(record.lines)
      shelf.due:remove(ask.id)
      resolve.sell(ask.id, record, lines, share, ask.order)
      book.tell_levels(levels)
      inquiry.show(ask.id)
      return true
    end
    if record.state == 'C' then
      if record.mark == ask.order then inquiry.show(ask.id) else tell(refusal) end
      return did
    end
    if #record.orders >= BOUND.late_orders then
      tell('x conflict', fmt(BOUND.late_orders), 'orders have paid too late for this reservation, and no other can')
      return did
    end
    if refusal == 'x expired' and ask.retakes then return retake(ask, record, did) end
    resolve.tell_paid_too_late(ask.id, record, ask.order)
    tell(refusal)
    return true
  end
end)
